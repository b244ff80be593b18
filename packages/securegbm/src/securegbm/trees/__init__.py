"""Trees: objectives, the threshold search on histograms, leaf-wise growth, and the grown tree."""
