"""Regions of two pictures that belong together: drawn, found, or soft masks; and the filter that feathers them."""
