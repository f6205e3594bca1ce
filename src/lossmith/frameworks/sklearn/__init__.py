"""What lossmith.sklearn is made of."""
