"""Model files: `NAME_file` parses a format, `registry` makes a graph or weights of each."""
