"""Model files: `registry` lists the formats, `NAME_file` parses one, `NAME_reader` makes a graph or weights of it."""
