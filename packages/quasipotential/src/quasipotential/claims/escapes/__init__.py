"""Claims on the way out: how long it takes, and along which path."""
