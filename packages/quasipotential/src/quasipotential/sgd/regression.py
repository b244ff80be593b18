"""The example in which the noise of SGD alone decides between two minima."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class NoisyRegression:
    """One neuron, two parameters, two minima of equal loss: the example in which SGD's noise alone decides.

    The prediction for the input (s, c), s and c in {-1, 1}, is ``softplus(s x) + c y``; all targets have the mean
    ``target``, but the labels of the inputs with s = 1 scatter by ``noise[0]`` and those with s = -1 by ``noise[1]``.
    The squared loss is the same at (x, y) and (-x, y): both wells are equally deep and equally wide. Where x > 0 the
    neuron follows the first half of the inputs and meets their label noise.

    Attributes:
        target: mean of the labels; above about 2 there are two wells.
        noise: scatter of the labels.
    """

    target: float = 3.0
    noise: tuple[float, float] = (4.0, 2.5)

    @property
    def samples(self) -> np.ndarray:
        """The eight samples ``(8, 3)``: s, c and the label."""
        signs = np.array([(s, c, z) for s in (1, -1) for c in (1, -1) for z in (1, -1)], float)
        scatter = np.where(signs[:, 0] > 0, self.noise[0], self.noise[1])
        return np.stack([signs[:, 0], signs[:, 1], self.target + scatter * signs[:, 2]], -1)

    def gradients(self, theta: np.ndarray) -> np.ndarray:
        """Gradients of all samples, ``(m, 2)`` to ``(m, 8, 2)``."""
        return self.gradient(theta, np.broadcast_to(np.arange(8), (len(theta), 8)))

    def gradient(self, theta: np.ndarray, index: np.ndarray) -> np.ndarray:
        """Gradients of chosen samples, ``(m, 2)`` and ``(m, b)`` to ``(m, b, 2)``."""
        s, c, label = np.moveaxis(self.samples[index], -1, 0)
        z = s * theta[:, :1]
        e = np.exp(-np.abs(z))
        residual = np.maximum(z, 0) + np.log1p(e) + c * theta[:, 1:] - label
        slope = np.where(z > 0, 1.0, e) / (1 + e)
        return np.stack([residual * s * slope, residual * c], -1)

    def loss(self, theta: np.ndarray) -> np.ndarray:
        """Mean squared loss ``1/2 E r^2`` at ``(..., 2)``."""
        s, c, label = self.samples.T
        residual = np.logaddexp(0, s * theta[..., :1]) + c * theta[..., 1:] - label
        return 0.5 * np.mean(residual**2, -1)

    def wells(self) -> np.ndarray:
        """The two minima ``(2, 2)``, left first."""
        from scipy.optimize import brentq

        slope = lambda x: float(self.gradients(np.array([[x, 0.0]])).mean(1)[0, 0])  # noqa: E731
        x = float(brentq(slope, 0.5, 4 * self.target, xtol=1e-13))  # pyright: ignore[reportArgumentType]
        return np.array([[-x, 0.0], [x, 0.0]])
