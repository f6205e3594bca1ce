"""What the faces toward frameworks share: signatures and stubs made from the registry."""
