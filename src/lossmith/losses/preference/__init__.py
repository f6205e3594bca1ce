"""Losses of which of two answers is preferred."""
