"""Tests of temporary attributes."""
