"""Published errors and times of the two reference codes, as read in their repositories and papers' tables.

Errors are the largest over the accepted points divided by the largest value there; times are seconds on the authors'
machine.
"""

OLIM2D = {
    "d": {
        129: (7, 9.19e-3, 0.026),
        257: (9, 2.41e-3, 0.129),
        513: (12, 8.23e-4, 0.675),
        1025: (14, 3.43e-4, 3.28),
        2049: (18, 1.20e-4, 20.3),
        4097: (24, 6.33e-5, 151.0),
    },
    "y(4)": {
        129: (7, 5.50e-3, 0.041),
        257: (9, 2.11e-3, 0.209),
        513: (12, 7.78e-4, 1.12),
        1025: (16, 3.43e-4, 6.28),
        2049: (22, 1.54e-4, 43.2),
        4097: (28, 9.51e-5, 317.0),
    },
    "y(10)": {
        129: (9, 8.82e-3, 0.053),
        257: (11, 4.54e-3, 0.272),
        513: (14, 2.03e-3, 1.37),
        1025: (18, 8.63e-4, 7.40),
        2049: (23, 4.17e-4, 46.6),
        4097: (28, 2.75e-4, 319.0),
    },
}
"""olim2D, files ``measurements/*_testK.txt``: points a side to (K, error, seconds), at the authors' chosen K."""

OLIM2D_RUN = {"l": {1025: (22, 1.71e-4, 4.25)}}
"""The same code compiled and run on a two-core machine, where no table is published."""

OLIM_ALL = {"l": {129: (10, 1.08e-3, 0.15), 257: (14, 2.93e-4, 0.69), 513: (18, 1.03e-4, 4.7), 1025: (22, 4.15e-5, 28.0)}}
"""The OLIM of EfficientJetMarcher, which tries all triangles, compiled and run on a two-core machine."""

JET_MARCHER = {
    "cubic": {129: (1.69e-5, 0.35), 257: (4.07e-6, 1.35), 513: (1.00e-6, 5.2)},
    "l": {129: (1.22e-3, 0.80), 257: (3.13e-4, 3.0), 513: (8.06e-5, 10.6), 1025: (2.10e-5, 42.0)},
}
"""EfficientJetMarcher compiled and run on a two-core machine: points a side to (error, seconds)."""

OLIM_3D = {
    "linear, rotation 2": {33: (6, 1.2544e-2), 65: (8, 7.6020e-3), 129: (10, 4.6125e-3)},
    "linear, rotation 10": {33: (6, 3.2315e-2), 65: (8, 1.5137e-2), 129: (10, 6.9665e-3)},
}
"""The 3-D code of arXiv 1808.00562's authors (their version for Lorenz' system with this drift), compiled and run on a
two-core machine: points a side to (K, error)."""
