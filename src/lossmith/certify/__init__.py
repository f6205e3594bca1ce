"""Is it the same number everywhere? Losses on every host against 60-digit truth: ``python -m lossmith.certify``."""
