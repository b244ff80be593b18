"""What hides and what proves: BFV, where numbers sit in its polynomials, sums under it, noise, commitments."""
