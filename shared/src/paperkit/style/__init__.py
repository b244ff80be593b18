"""Style transfer's common ground (extra ``style``): pictures and video, encoders by levels, AdaIN and WCT, metrics.

The modules are imported one by one (``from paperkit.style.images import read_image``); none is loaded by the package itself.
"""
