"""Handlers and verifiers: what is to be done with the persons in images, and the pipeline that does it."""
