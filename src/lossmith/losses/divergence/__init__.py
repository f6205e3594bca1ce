"""Losses that compare two distributions."""
