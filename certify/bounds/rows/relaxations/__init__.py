"""Convex relaxations, alone and jointly with the dual point."""
