"""How a model arrives: files to layers to a parallel network; problem files are read without torch."""
