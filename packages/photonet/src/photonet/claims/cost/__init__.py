"""Claims about time and memory."""
