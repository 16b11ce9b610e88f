"""The shapes of maximization that polars have, and the steps from one to a smaller one."""
