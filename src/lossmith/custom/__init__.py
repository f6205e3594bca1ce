"""Losses of your own: formulas as text, read without ever running as Python, and functions of ``(ops, y, f)``."""
