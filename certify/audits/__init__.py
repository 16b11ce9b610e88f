"""Audits: what to check, what is already known, and how to run the rest; nothing here imports torch."""
