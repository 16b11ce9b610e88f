"""Branch and bound over cones of directions."""
