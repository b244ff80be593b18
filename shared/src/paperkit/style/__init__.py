"""Style transfer's common ground (extra ``style``): pictures and video, encoders by levels, AdaIN and WCT, metrics."""
