"""Limit cycles as attractors: how one is found, U in a tube around it, and where the march begins."""
