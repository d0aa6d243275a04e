"""One module for each estimate: what it looks at, where its network comes from, and how well it was measured to do."""
