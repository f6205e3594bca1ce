"""The catalogue: a folder a family, a file a loss. Files are found by walking; nothing is listed."""
