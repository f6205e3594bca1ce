"""What stands behind ``lossmith.xgboost``."""
