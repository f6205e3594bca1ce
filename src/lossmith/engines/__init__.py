"""Engines: what runs a program over arrays."""
