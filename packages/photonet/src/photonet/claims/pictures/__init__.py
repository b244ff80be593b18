"""Claims about what the pictures look like."""
