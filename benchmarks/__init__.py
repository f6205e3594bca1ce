"""Measurements behind every figure that Lossmith's documents give."""
