"""Bounds for the polar of subnetworks of three and more layers: peeling down to rows, the mask and Lipschitz bounds."""
