"""Commands beyond training and prediction."""
