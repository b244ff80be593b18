"""Where the theory can be checked: the stochastic differential equation, many replicas at once, sparse regression."""

from msgd.theory import replicas as replicas
from msgd.theory import sde as sde
