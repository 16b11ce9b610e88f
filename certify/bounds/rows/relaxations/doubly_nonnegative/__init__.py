"""The doubly nonnegative relaxation of rows, joint with the dual point: solved by splitting, proven at any iterate."""
