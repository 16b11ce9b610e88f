"""Bounds of the form Bilinear: uᵀ G v over two balls."""
