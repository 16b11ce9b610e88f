"""Where a model stands to the theory, and its parallel form."""
