"""Losses as code that stands alone, in the languages and libraries that people use."""
