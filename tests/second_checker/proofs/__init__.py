"""Section 6: a file for each kind of proof."""
