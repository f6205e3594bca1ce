"""What the face toward PyTorch is made of: costs of tensors, and modules made from the registry."""
