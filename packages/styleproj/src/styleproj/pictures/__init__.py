"""Pictures in, pictures out: one, many, those of a clip, and those of the page."""
