"""Scores with intervals and the pictures of them, shared by the fields."""
