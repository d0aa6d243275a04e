"""Tests of the documentation: complete, not stale, no dead links."""
