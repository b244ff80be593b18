"""The meter gives the explicit noise scale within its interval; the controller holds what acts on the weights."""

import math

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

import msgd
from claimkit.errors import InputError
from msgd.loop.scaling import AdaptiveMatch, learning_rate_gain

N = 600


def criterion(outputs, targets):
    return cross_entropy(outputs, targets, reduction="none")


def linear():
    return nn.Linear(6, 4)


def perceptron():
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 4))


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.o = nn.MultiheadAttention(3, 1, batch_first=True), nn.Linear(6, 4)

    def forward(self, x):
        h = x.unflatten(1, (2, 3))
        return self.o((h + self.a(h, h, h, need_weights=False)[0]).flatten(1))


@pytest.fixture
def data():
    g = torch.Generator().manual_seed(0)
    x = torch.randn(N, 6, generator=g)
    return x, (x[:, :4] + 0.5 * torch.randn(N, 4, generator=g)).argmax(1)


def explicit(model, x, y, precondition=None):
    """Tr(P C) (n - 1 in the denominator, as batches come without replacement), and G' P G."""
    matrix = msgd.GradientMatrix(model, criterion, x, y)
    p = torch.ones(matrix.d) if precondition is None else precondition
    return float((p * matrix.diagonal()).sum()), float((p * matrix.gradient().square()).sum())


def measure(model, x, y, meter, steps, passes=1, rows=32, law=None, generator=None, spoil=None):
    """Steps of size zero: batches without replacement, in one or more passes, with or without noise."""
    g = torch.Generator().manual_seed(1)
    noisy_mean = None if law is None else msgd.NoisyMean(law, seed=1, accumulate=passes)
    for _ in range(steps):
        model.zero_grad()
        index = torch.randperm(N, generator=g)[: rows * passes]
        for part in index.split(rows):
            losses = criterion(model(x[part]), y[part])
            if passes == 1:
                meter.probe(losses)
            ((losses.mean() if noisy_mean is None else noisy_mean(losses)) / passes).backward()
        if spoil is not None:
            model.weight.grad[0, 0] = spoil
        meter.step(rows * passes, *(() if law is None else (law.fisher, law.centred)))


@pytest.mark.parametrize("build", [linear, perceptron, Attention])
@pytest.mark.parametrize("passes", [1, 4])
def test_the_explicit_noise_scale_is_within_the_interval(build, passes, data):
    """120 steps of 32 rows a pass, seed 1; the interval is shorter than the scale, so that it says something."""
    model = build()
    trace, square = explicit(model, *data)
    meter = msgd.NoiseScale(model.parameters(), decay=0.995, every=1, n=N)
    measure(model, *data, meter, 120, passes)
    low, high = meter.interval
    assert low <= trace / square <= high and high - low < meter.noise_scale
    assert meter.trace == pytest.approx(trace, rel=0.15)


@pytest.mark.parametrize("kind", [msgd.MiniBatchFisher, msgd.MiniBatchCov])
@pytest.mark.parametrize("passes", [1, 4])
def test_injected_noise_is_taken_out_of_the_measurement(kind, passes, data):
    """250 steps of noise at batch 8, seed 1."""
    model = linear()
    trace, square = explicit(model, *data)
    law = msgd.match(kind(N, 16 * passes), 8)
    if kind is msgd.MiniBatchCov and passes > 1:
        law = msgd.match(msgd.MiniBatchCov(N, 16 * passes, ghost=16), 8)
    meter = msgd.NoiseScale(model.parameters(), decay=0.998, every=1, n=N)
    measure(model, *data, meter, 250, passes, 16, law)
    low, high = meter.interval
    assert low <= trace / square <= high and high - low < 1.5 * meter.noise_scale


def test_the_interval_covers_what_it_says():
    """200 meters of 40 Gaussian pairs of estimates: 95 % of the intervals hold the ratio (89 %: 4 standard errors less)."""
    g = torch.Generator().manual_seed(0)
    held = 0
    for _ in range(200):
        meter = msgd.NoiseScale([nn.Parameter(torch.zeros(1))], decay=0.99)
        for s, q in (torch.randn(40, 2, generator=g) * torch.tensor([1.0, 0.8]) + torch.tensor([3.0, 1.0])).tolist():
            meter._add(s, q)
        held += meter.interval[0] <= 3.0 <= meter.interval[1]
    assert held >= 178


def test_the_preconditioned_scale_takes_the_optimisers_moments(data):
    model = perceptron()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    meter = msgd.NoiseScale(model.parameters(), decay=0.995, every=1, n=N, optimizer=optimizer)
    measure(model, *data, meter, 1)
    assert math.isnan(meter.noise_scale), "no moments yet"
    optimizer.step()
    optimizer.param_groups[0]["lr"] = 0.0
    moments = torch.cat([optimizer.state[p]["exp_avg_sq"].flatten() for p in model.parameters()])
    trace, square = explicit(model, *data, 1 / (moments.sqrt() + 1e-8))
    measure(model, *data, meter, 120)
    assert meter.interval[0] <= trace / square <= meter.interval[1]
    assert meter.trace == pytest.approx(trace, rel=0.15)


def test_only_every_nth_step_is_measured_and_a_state_resumes(data, tmp_path):
    model = linear()
    meter = msgd.NoiseScale(model.parameters(), every=5)
    passes = []
    model.weight.register_hook(lambda _: passes.append(1))
    measure(model, *data, meter, 12)
    assert len(passes) == 12 + 3 and meter._sums["ww"] == pytest.approx(1 + 0.95**2 + 0.95**4)
    other = msgd.NoiseScale(linear().parameters())
    other.load_state_dict(meter.state_dict())
    assert other.values == meter.values and other.steps == 12
    for step in (1, 2):
        meter.append(tmp_path / "scale.csv", step)
    lines = (tmp_path / "scale.csv").read_text().splitlines()
    assert lines[0] == "step,noise_scale,low,high,trace,square" and [line[0] for line in lines[1:]] == ["1", "2"]
    scalars = {}
    writer = type("Writer", (), {"add_scalar": lambda _, name, value, step: scalars.update({name: (value, step)})})()
    meter.write(writer, 7)
    assert scalars["noise_scale/trace"] == (meter.trace, 7)


@pytest.mark.parametrize("bad", [math.inf, math.nan])
def test_a_step_that_a_scaler_leaves_out_does_not_stay_in_the_averages(bad, data):
    """One gradient that overflowed in half precision made the scale 0 from then on, as its square was infinite."""
    model, meters = linear(), []
    for overflows in (True, False):
        torch.manual_seed(0)
        meter = msgd.NoiseScale(model.parameters(), every=1)
        if overflows:
            measure(model, *data, meter, 1, spoil=bad)
            meter.steps = 0
        measure(model, *data, meter, 5)
        meters.append(meter.values)
    assert meters[0] == meters[1] and 0 < meters[0]["noise_scale"] < math.inf


def test_what_cannot_be_measured_is_refused(data):
    model = linear()
    meter = msgd.NoiseScale(model.parameters())
    criterion(model(data[0]), data[1]).mean().backward()
    with pytest.raises(InputError, match="call probe"):
        meter.step(N)
    with pytest.raises(InputError, match="no parameter"):
        msgd.NoiseScale([])
    with pytest.raises(InputError, match=r"decay = 1\.5"):
        msgd.NoiseScale(model.parameters(), decay=1.5)


def test_rules_of_the_learning_rate():
    assert learning_rate_gain("linear", 50, 1000) == 20
    assert learning_rate_gain("square-root", 50, 1000) == pytest.approx(20**0.5)
    assert learning_rate_gain("adascale", 50, 1000, 0.0) == 1
    assert learning_rate_gain("adascale", 50, 1000, math.inf) == 20
    assert learning_rate_gain("adascale", 10, 40, 40.0) == pytest.approx(2.5)
    for bad in (("adascale", 10, 40, None), ("linear", 0, 40, None)):
        with pytest.raises(InputError):
            learning_rate_gain(*bad)


@pytest.mark.parametrize("kind", [msgd.MiniBatchFisher, msgd.MiniBatchCov])
def test_the_thermostat_holds_rate_times_level(kind):
    """SGD at batch 50 and rate 0.1 is matched while rate and momentum change, and told where the batch is noisier."""
    p = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([p], lr=0.1)
    noisy_mean = msgd.NoisyMean(kind(50_000, 1_000))
    adaptive = AdaptiveMatch(noisy_mean, 50, optimizer, learning_rate=0.1, momentum=0.0)
    for rate, momentum in ((0.1, 0.0), (0.05, 0.0), (0.05, 0.9), (0.2, 0.5)):
        optimizer.param_groups[0].update(lr=rate, momentum=momentum)
        adaptive.step()
        assert rate / (1 - momentum) * noisy_mean.noise.level == pytest.approx(0.1 * msgd.MiniBatch(50_000, 50).centred)
        assert adaptive.excess == 0
    optimizer.param_groups[0].update(lr=4.0, momentum=0.5)
    with pytest.warns(UserWarning, match="noisier than SGD at batch 50"):
        adaptive.step()
    assert noisy_mean.noise.std == 0 and adaptive.excess == pytest.approx(49_000 / 1_000 / (49_950 / 50 / 80) - 1)
    optimizer.param_groups[0].update(lr=0.5, momentum=0.9, dampening=0.9)  # moves as a rate of 0.05 without dampening
    adaptive.step()
    assert 0.5 * noisy_mean.noise.level == pytest.approx(0.1 * msgd.MiniBatch(50_000, 50).centred)
    level_only = AdaptiveMatch(noisy_mean, 50, optimizer)
    level_only.step()
    assert noisy_mean.noise.std == pytest.approx(msgd.match(kind(50_000, 1_000), 50).std)
    with pytest.raises(InputError, match="draws rows itself"):
        AdaptiveMatch(msgd.NoisyMean(msgd.Bernoulli(10, 5)), 5, optimizer)


def test_a_measured_noise_scale_makes_the_trace_of_fisher_noise_that_of_sgd(data):
    model = linear()
    trace, square = explicit(model, *data)
    meter = msgd.NoiseScale(model.parameters())
    for _ in range(2):
        meter._add(trace, square)
    noisy_mean = msgd.NoisyMean(msgd.MiniBatchFisher(N, 100))
    AdaptiveMatch(noisy_mean, 10, torch.optim.SGD(model.parameters(), lr=0.1), meter=meter).step()
    law = noisy_mean.noise
    assert law.fisher * (trace + square) + law.centred * trace == pytest.approx(msgd.MiniBatch(N, 10).centred * trace)


@pytest.mark.parametrize(("rows", "n"), [(0, None), (13, 12)])
def test_a_step_of_no_rows_or_of_more_than_there_are_is_refused(rows, n):
    meter = msgd.NoiseScale(torch.nn.Linear(2, 2).parameters(), n=n)
    with pytest.raises(InputError, match="give the rows of the whole step"):
        meter.step(rows)


def test_a_step_of_other_rows_than_its_probe_is_refused(data):
    """``len(loader)`` or the rows of a passing batch for those of the step: it gave another scale without a word."""
    model = linear()
    meter = msgd.NoiseScale(model.parameters())
    losses = criterion(model(data[0]), data[1])
    meter.probe(losses)
    losses.mean().backward()
    with pytest.raises(InputError, match=rf"rows = 7, but the losses of this step's probe were {N}: give the same"):
        meter.step(7)


def one_step(meter, model, x, y, reduce=torch.mean, scale=1.0):
    losses = criterion(model(x), y)
    meter.probe(losses)
    (scale * reduce(losses)).backward()


@pytest.mark.parametrize(
    ("reduce", "factor"), [(torch.sum, "32"), (lambda losses: losses.mean() / 4, "0.25"), (lambda losses: losses[3], None)]
)
def test_a_gradient_that_is_not_that_of_the_mean_is_refused(reduce, factor, data):
    """Sums gave a scale 1/rows^2 of the true one without a word. Weights of sum 1, as those of one row, are taken."""
    model = linear()
    meter = msgd.NoiseScale(model.parameters())
    one_step(meter, model, data[0][:32], data[1][:32], reduce)
    if factor is None:
        meter.step(32)
        assert meter.noise_scale > 0
        return
    with pytest.raises(InputError, match=rf"the gradient is {factor} times that of losses\.mean\(\)"):
        meter.step(32)


def test_a_gradient_that_was_clipped_before_is_refused(data):
    model = linear()
    meter = msgd.NoiseScale(model.parameters())
    one_step(meter, model, *data)
    nn.utils.clip_grad_norm_(model.parameters(), 0.01)
    with pytest.raises(InputError, match=r"the gradient is 0\.\d+ times .*before gradients are clipped"):
        meter.step(N)


@pytest.mark.parametrize("undone", [True, False])
def test_a_scale_against_underflow_is_no_sum(undone, data):
    """As with a GradScaler: its scale is undone before the step (``unscale_``), or named."""
    model, found = linear(), []
    for scale in (1.0, 1024.0):
        model.zero_grad()
        meter = msgd.NoiseScale(model.parameters())
        one_step(meter, model, *data, scale=scale)
        if undone:
            for p in model.parameters():
                p.grad /= scale
        meter.step(N, loss_scale=1.0 if undone else scale)
        found.append(meter.noise_scale)
    assert found[0] == pytest.approx(found[1], rel=1e-4)


@pytest.mark.parametrize("passes", [1, 2])
def test_gradients_of_the_step_before_are_refused(passes, data):
    """Without ``zero_grad`` the square of the gradient grew step by step, and the scale fell, without a word."""
    model = linear()
    meter = msgd.NoiseScale(model.parameters(), every=2)
    for step in range(3):
        for part in range(passes):
            if passes == 1:
                one_step(meter, model, *data)
            else:
                criterion(model(data[0][part::2]), data[1][part::2]).mean().div(2).backward()
        if step == 2:
            with pytest.raises(InputError, match=r"an earlier step were added to: call optimizer\.zero_grad"):
                meter.step(N)
        else:
            meter.step(N)
    model.zero_grad(set_to_none=False)
    meter = msgd.NoiseScale(model.parameters())
    one_step(meter, model, *data)
    meter.step(N)
    assert meter.noise_scale > 0


def test_gradients_that_are_not_added_are_no_pass(data):
    """A ``GradientMatrix`` beside the loop, or a penalty on the gradient, counted as one more pass of the step."""
    model, found = linear(), []
    for beside in (False, True):
        model.zero_grad()
        meter = msgd.NoiseScale(model.parameters())
        for part in (0, 1):
            criterion(model(data[0][part::2]), data[1][part::2]).mean().div(2).backward()
            if beside:
                explicit(model, *data)
        meter.step(N)
        found.append(meter.values)
    assert found[0] == found[1]
