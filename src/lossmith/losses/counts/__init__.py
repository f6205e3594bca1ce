"""Losses of counts and other targets that are at least zero."""
