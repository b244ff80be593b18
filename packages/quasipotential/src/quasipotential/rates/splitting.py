"""Mean exit times that no simulation reaches: adaptive multilevel splitting.

Between two visits of the attractor's neighbourhood ``A = {score <= a}`` a path makes a loop that starts on the line
``{score = s_0}`` and ends in A, or outside. With loops of mean length T, of which a share alpha leaves,

    E tau = T / alpha,   alpha = p_1 p_2 ... p_K,

p_k the share of the paths from line k - 1 that reach line k before A: each is found by sending many paths from states that
reached the line before (Cerou and Guyader 2007). Lines are set by a pilot run, so that one path in five comes through; the
estimate of alpha is then unbiased whatever the score; minus the action that is left to an exit keeps its variance from
growing exponentially.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import stats

from claimkit.errors import InputError

from ..fields import difference, refuse_not_positive, refuse_outside
from ..plane.solution import Solution
from ..progress import progress_bar
from .exits import Problem, Tables
from .walkers import HIGH, LOW, OUT, UNFINISHED, FieldWalker, PlaneWalker, Walker

REPLICAS = 20
"""Independent runs, whose spread is the error."""
_SHARE, _PILOT = 0.2, 2000


@dataclass(frozen=True)
class SplitExits:
    """A mean exit time by splitting.

    Attributes:
        mean: of the exit time from the attractor.
        interval: 95 % confidence ``(low, high)``, from the spread of independent runs.
        relative_error: standard error over mean.
        levels: scores of the lines.
        shares: of the paths that reach the next line, the last one that leave.
        loop: mean length of a loop in time.
        steps: path-steps in all.
        step: time step.
    """

    mean: float
    interval: tuple[float, float]
    relative_error: float
    levels: np.ndarray
    shares: np.ndarray
    loop: float
    steps: int
    step: float


def split_exits(
    problem: Tables | Callable,
    start,
    region: Callable[[np.ndarray], np.ndarray],
    noise: float,
    *,
    score: Callable | None = None,
    diffusion: np.ndarray | None = None,
    accuracy: float = 0.05,
    step: float | None = None,
    seed: int = 0,
    budget: float = 1e9,
    progress: bool = False,
) -> SplitExits:
    """Mean exit time from a region however rare exits are, with its error.

    Args:
        problem: a ``Solution``, the result of ``tabulate`` (leaving the mesh is leaving the region), or, in any dimension,
            the drift as a function of points ``(n, d)``.
        start: the attractor ``(d,)``; the mean differs from that of its neighbourhood by the time of one loop.
        region: function of points, negative inside.
        noise: eps.
        score: function of points that grows on the way out; on a mesh minus ``remaining_action`` by default.
        diffusion: with a drift given as a function: None for the identity, or a constant matrix.
        accuracy: relative half width of the 95 % interval that is aimed at.
        step: time step; by default 1 / 25 of the attractor's fastest rate, less where the barrier is many times eps.
        seed: any integer.
        budget: path-steps allowed, about ten million a second and core in the plane.
        progress: show a progress bar on a terminal.

    Raises:
        InputError: for a start outside or not at rest, where exits are so frequent that ``simulate_exits`` is the tool,
            where the score does not lead out, or where the accuracy would cost more than the budget.
    """
    point = np.asarray(start, float)
    refuse_not_positive(noise=noise, budget=budget, **({} if step is None else {"step": step}))
    if not 0 < accuracy < 2:
        raise InputError(f"accuracy must be between 0 and 2; it is {accuracy}.")
    refuse_outside(region, point)
    rates = _rates(problem, point)
    walker: Walker
    fastest = float(rates.max())
    if callable(problem) and not isinstance(problem, Solution):
        if score is None:
            raise InputError("Splitting needs a score, a function of points that grows on the way out: give score=.")
        step = 0.04 / fastest if step is None else step
        walker = FieldWalker(problem, region, score, noise, step, seed, diffusion, len(point))
    else:
        step = _plane_step(problem, region, noise, fastest) if step is None else step
        walker = PlaneWalker(problem, region, score, noise, step, seed)  # pyright: ignore[reportArgumentType]
    run = _Run(walker, walker.states_of(point[None])[0], np.random.default_rng(seed), int(1e3 / rates.min() / step) + 1)
    lines, loop_cost, path_cost, shares = run.pilot(int(10 / rates.min() / step) + 1)
    spread = float(np.sum(1 / shares - 1))
    target = (accuracy / stats.t.ppf(0.975, REPLICAS - 1)) ** 2
    total = math.sqrt(loop_cost) + math.sqrt(spread * path_cost)
    loops = max(int(total / target / math.sqrt(loop_cost) / REPLICAS), 20)
    paths = max(int(total / target * math.sqrt(spread / path_cost) / REPLICAS), 100)
    cost = REPLICAS * (loops * loop_cost + paths * path_cost) + run.steps
    if cost > budget:
        raise InputError(
            f"An interval of +- {accuracy:.0%} would cost {cost:.1e} path-steps, more than the budget of {budget:.0e}: ask "
            "for less accuracy, or give a larger budget."
        )
    with progress_bar(len(lines), progress, "level") as advance:
        alpha, length, shares = run.measure(lines, loops, paths, advance)
    if not (alpha > 0).all():
        raise InputError(
            "In some runs no path left: the score does not lead out of the region; give one that grows all the way, or more "
            "accuracy."
        )
    mean = step * float(length.mean() / alpha.mean())
    error = math.sqrt(sum(float(v.var(ddof=1)) / REPLICAS / float(v.mean()) ** 2 for v in (length, alpha)))
    width = float(stats.t.ppf(0.975, REPLICAS - 1)) * error
    interval = (mean * math.exp(-width), mean * math.exp(width))
    return SplitExits(mean, interval, error, lines[1:], shares, step * float(length.mean()), run.steps, step)


def _rates(problem, point) -> np.ndarray:
    """Absolute real parts and sizes of the eigenvalues of the drift's derivative at an attractor."""
    if isinstance(problem, Solution | Problem):
        mesh = problem.mesh
        rows, columns = (np.clip(np.rint(mesh.index_of(point)).astype(int), 1, np.array(mesh.shape) - 2)[k] for k in (1, 0))
        b, j, i = problem.drift, 2 * rows, 2 * columns
        along = [(b[j, i + 1] - b[j, i - 1]) / mesh.spacing[0], (b[j + 1, i] - b[j - 1, i]) / mesh.spacing[1]]
        values = np.linalg.eigvals(np.stack(along, -1))
    else:
        values = np.linalg.eigvals(difference(problem, point[None], 1e-5)[0])
    if values.real.max() >= 0:
        place = ", ".join(f"{v:.6g}" for v in point)
        raise InputError(f"The start ({place}) is no stable equilibrium; splitting starts at an attractor.")
    return np.concatenate([-values.real, np.abs(values)])


def _plane_step(problem, region, noise, fastest) -> float:
    """A step whose error of the mean exit time, a share ``barrier / noise * (rate * step)^2 / 4``, is below 1 %."""
    height = 25.0
    if isinstance(problem, Solution):
        height = max(problem.barrier(region, error=False).value / noise, 4.0)
    return min(0.05, 0.2 / math.sqrt(height)) / fastest


class _Run:
    """One estimate: the walker, where paths restart, and what was spent."""

    def __init__(self, walker: Walker, home: np.ndarray, rng: np.random.Generator, most: int):
        self.walker, self.home, self.rng, self.most, self.steps = walker, home, rng, most, 0

    def walk(self, states, low=-math.inf, high=math.inf, most=None):
        done = self.walker(states, low, high, most or self.most)
        self.steps += int(done.steps.sum())
        if most is None and (done.ends == UNFINISHED).any():
            raise InputError(
                "A path neither came back to the attractor nor went on for a thousand times its slowest time: there may be "
                "another attractor inside the region, or the score's lines may not enclose the attractor."
            )
        return done

    def pilot(self, burn):
        """Lines, mean steps of a loop and of one path on all levels, and shares, from a few paths."""
        done = self.walk(np.repeat(self.home[None], _PILOT, 0), most=burn)
        if (done.ends == OUT).mean() > 0.02:
            raise InputError(
                f"{(done.ends == OUT).mean():.0%} of the paths left within ten relaxation times: exits are not rare at this "
                "noise; use simulate_exits."
            )
        self.rest = done.states[done.ends != OUT]
        looks = self.walk(self.rest, most=1).tops
        low, line = np.quantile(looks[np.isfinite(looks)], (0.5, 0.98))
        if not line > low:
            raise InputError("The score is the same where the paths rest; give one that grows on the way out.")
        up = self.walk(self.rest, high=line)
        down = self.walk(up.states[up.ends == HIGH], low=low)
        loop_cost = float(up.steps.mean() + down.steps.mean())
        lines, shares, path_cost, pool = [low, line], [], 0.0, up.states[up.ends == HIGH]
        for _ in range(200):
            states = pool[self._spread(len(pool), _PILOT)]
            far = self.walk(states, low=low)
            path_cost += float(far.steps.mean())
            share = float((far.ends == OUT).mean())
            if share > 0.5 * _SHARE:
                return np.array(lines), loop_cost, path_cost, np.array([*shares, share])
            line = float(np.quantile(far.tops, 1 - _SHARE))
            if not line > lines[-1]:
                break
            done = self.walk(states, low=low, high=line)
            pool = done.states[done.ends == HIGH]
            lines.append(line)
            shares.append(float((done.ends != LOW).mean()))
        raise InputError(
            f"The score does not lead out of the region: paths do not get above {lines[-1]:.6g} and stay inside."
        )

    def _spread(self, size, count):
        """Indices of ``count`` draws, spread evenly over ``size``."""
        return ((self.rng.random() + np.arange(count)) * size / count).astype(int) % size

    def measure(self, lines, loops, paths, advance):
        """Shares that leave and mean steps of a loop in each of the independent runs, and the mean shares of the levels."""
        chains = min(loops, 25)
        states = self.rest[self.rng.integers(0, len(self.rest), REPLICAS * chains)]
        lengths, entered = np.zeros((REPLICAS, chains)), []
        rounds = -(-loops // chains)
        for k in range(rounds + 1):  # the first loops start from the stationary state and are not counted
            up = self.walk(states, high=lines[1])
            entered.append(np.where((up.ends == HIGH)[:, None], up.states, np.nan).reshape(REPLICAS, chains, -1))
            states = np.where((up.ends == OUT)[:, None], self.home, up.states)
            down = self.walk(states, low=lines[0])
            states = np.where((down.ends == OUT)[:, None], self.home, down.states)
            if k:
                lengths += (up.steps + down.steps).reshape(REPLICAS, chains)
        pools = [p[np.isfinite(p).all(-1)] for p in np.concatenate(entered[1:], 1)]
        outside = [np.zeros(len(p), bool) for p in pools]
        shares = []
        for line in (*lines[2:], math.inf):
            for r, pool in enumerate(pools):
                chosen = self._spread(len(pool), paths) if len(pool) else np.zeros(0, int)
                pools[r], outside[r] = pool[chosen], outside[r][chosen]
            states, gone = np.concatenate(pools), np.concatenate(outside)
            owner = np.repeat(np.arange(REPLICAS), [len(p) for p in pools])
            done = self.walk(states[~gone], low=lines[0], high=line)
            ends = np.full(len(states), OUT)
            ends[~gone], states[~gone] = done.ends, done.states
            through = ends != LOW
            shares.append(np.bincount(owner[through], minlength=REPLICAS) / paths)
            pools = [states[through & (owner == r)] for r in range(REPLICAS)]
            outside = [(ends == OUT)[through & (owner == r)] for r in range(REPLICAS)]
            advance(1)
        shares = np.array(shares)
        return shares.prod(0), lengths.mean(1) / rounds, shares.mean(1)
