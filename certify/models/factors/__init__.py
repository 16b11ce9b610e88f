"""Factorizations: tables of factors by axis, biases of rows and columns, and the entries that they are fitted to."""
