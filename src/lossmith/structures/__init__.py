"""Structures: how arrays are brought to the inputs of a formula, and derivatives carried back."""
