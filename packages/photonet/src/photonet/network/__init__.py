"""The network of the papers: its string of operators, its costs, its layers, and how near it is to another."""
