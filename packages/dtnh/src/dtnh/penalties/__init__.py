"""The penalties to guard: the pull towards the source's weights, its feature maps, its answers."""
