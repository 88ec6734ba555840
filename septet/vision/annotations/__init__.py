"""Readers of boxes: one file a format, each from a path to `found.Labelled`."""
