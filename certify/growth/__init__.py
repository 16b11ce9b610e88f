"""How a model gets better: local descent, a new subnetwork, and again."""
