"""The quasi-potential of a drift in space, on a mesh: ordered line integrals, arXiv 1808.00562."""
