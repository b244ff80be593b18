"""Colours of pictures and videos: profiles, curves and primaries, HDR, and what the tags of a video say."""
