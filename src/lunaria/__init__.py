"""Lunaria: an open, self-hosted platform that recognises faces."""
