"""Minimum action paths in any dimension, without a mesh."""

from . import characteristics as characteristics
