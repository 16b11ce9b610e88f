"""Data sets as exact float64 arrays, and what the loss is over."""
