"""Events: what happened when an image went through a handler; kept, searched, counted and told to subscribers."""
