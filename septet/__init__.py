"""Septet: deep learning in Python, whole."""
