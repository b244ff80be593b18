"""How long escapes take at finite noise: simulated, and from equations."""
