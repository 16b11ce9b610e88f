"""Output formats, written from results only."""
