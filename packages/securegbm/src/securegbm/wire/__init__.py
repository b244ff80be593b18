"""What may be said: the form of every message, and the record of what was."""
