"""CatBoost with any loss: what its face is made of."""
