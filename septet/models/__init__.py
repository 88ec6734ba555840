"""Architectures, one family a file: plain Keras builders with explicit, ranged arguments."""
