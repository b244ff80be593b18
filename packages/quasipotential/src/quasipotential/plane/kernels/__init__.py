"""The compiled march: points are accepted in the order of their values."""
