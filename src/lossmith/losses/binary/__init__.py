"""Losses of a label that is no or yes."""
