"""A model as operations, and what each of them computes."""
