"""Bounds of the form Rows: sums of σ(h·u) with one kink."""
