"""What the face toward JAX is made of: costs of its arrays, and functions made from the registry."""
