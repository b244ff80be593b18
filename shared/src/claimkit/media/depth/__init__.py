"""Bits of a picture: bytes, 16 bits and floating point, and the files that hold more than eight."""
