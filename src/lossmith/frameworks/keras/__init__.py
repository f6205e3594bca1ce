"""What the face toward Keras is made of: costs of tensors of its backend, and classes made from the registry."""
