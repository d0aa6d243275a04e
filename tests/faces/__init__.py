"""Tests of faces and lists."""
