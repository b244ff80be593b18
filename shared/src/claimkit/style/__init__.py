"""Style transfer's common ground (extra ``style``): pictures, video, encoders, transforms, metrics; import its modules."""
