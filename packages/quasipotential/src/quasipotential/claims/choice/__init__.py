"""Claims on several wells: which one the noise prefers, in theory, in a simulation and in SGD."""
