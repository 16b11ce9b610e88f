"""The only place where the packages meet."""
