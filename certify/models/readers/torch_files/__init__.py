"""Torch files: pickles read as data, tensors, and trees of modules."""
