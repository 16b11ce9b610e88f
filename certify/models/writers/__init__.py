"""Improved networks back into the format they came in."""
