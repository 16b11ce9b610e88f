"""Bounds of the form Squares: sums of squares of h·u."""
