"""Losses of a predicted distribution or interval."""
