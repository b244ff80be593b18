"""The quasi-potential of a planar drift on a mesh, and what one asks of it."""

from . import local as local
