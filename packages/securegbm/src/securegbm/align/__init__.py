"""Ids of both parties: masked on a curve, compared, and brought into one order (private set intersection)."""
