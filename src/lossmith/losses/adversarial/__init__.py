"""Losses of two models that play against each other."""
