"""Losses of a number on the real line."""
