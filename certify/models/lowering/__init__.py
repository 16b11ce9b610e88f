"""What formats hold, as layers: one table a vocabulary."""
