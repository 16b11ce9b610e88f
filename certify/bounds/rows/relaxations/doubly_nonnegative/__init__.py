"""The doubly nonnegative relaxation of rows, joint with the dual point, solved by splitting and proven from any iterate."""
