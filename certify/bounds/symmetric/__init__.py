"""Bounds of the form Symmetric: one unit vector on both sides of a matrix."""
