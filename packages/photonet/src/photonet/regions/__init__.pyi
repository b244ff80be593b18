from .labels import read_segmentations as read_segmentations
