"""The gradient matrix ``G = [grad l_1, ..., grad l_n]`` by products, and the covariances F and C that it defines."""

from msgd.matrix.covariance import GradientMatrix as GradientMatrix
