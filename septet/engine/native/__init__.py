"""A training step as C, compiled by the machine's own compiler; XLA where there is none."""
