"""What hides and what proves: noise, commitments, private set intersection."""
