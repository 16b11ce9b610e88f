"""Certificates of global optimality for trained models."""
