"""The network's pictures with less work: what is kept of a style, put off, folded or not computed."""
