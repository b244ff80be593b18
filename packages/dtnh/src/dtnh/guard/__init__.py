"""The guard: the rule of the projection, its scopes, the optimiser's metric, and what is counted on the way."""

from dtnh.guard.guard import Guard as Guard
