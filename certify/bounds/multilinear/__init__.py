"""Bounds for the form Multilinear: sparse matrices and tensors."""
