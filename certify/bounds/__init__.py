"""How much can be proven: lower and upper bounds on the polar, one method per file."""
