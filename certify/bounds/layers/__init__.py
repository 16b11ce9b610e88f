"""Bounds on polars of the form Layers."""
