"""The compiled march in space."""
