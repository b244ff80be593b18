"""M12: its arms do what their names say, and its judge says what the criterion says."""

import numpy as np
import pytest
import torch
from torch import Generator, nn

from claimkit.assets import Assets
from claimkit.experiment import Job
from msgd.claims import large_batches as m12
from msgd.train.data import ImageData


@pytest.fixture
def random_images(monkeypatch):
    g = Generator().manual_seed(0)
    x, y = torch.rand(5_000, 1, 28, 28, generator=g), torch.randint(10, (5_000,), generator=g)
    monkeypatch.setattr(m12, "load", lambda name, folder: ImageData(name, x, y, x[:100], y[:100]))
    monkeypatch.setattr(Assets, "find", lambda self, name: name)


def test_every_arm_trains_and_rows_are_equal_where_only_the_noise_differs(random_images):
    found = m12.train(m12.LargeBatches(steps=2, rates=1), Job(0))
    assert list(found) == list(m12.RECIPES)
    assert set(found["momentum, decay"]) == {"small", "large", "noisy", "LARS", "SAM"}
    assert set(found["batchnorm"]) == {"small", "large", "noisy", "ghost", "noisy ghost"}
    for arms in found.values():
        assert all(np.isfinite(runs["loss"]).all() for runs in arms.values())
        losses = [runs["loss"][0] for runs in arms.values()]
        assert len(set(losses)) == len(losses)  # every arm is another one
        assert list(arms["small"]) == ["rate", "loss", "validation", "test", "noise_scale"]


def test_the_network_of_patches_is_that_of_convolutions():
    recipe = m12.Recipe((0.1,))
    net, x = m12.Patches(recipe, ghost=False), torch.rand(3, 1, 28, 28)
    first, second = nn.Conv2d(1, 8, 7, 7), nn.Conv2d(8, 16, 2, 2)
    with torch.no_grad():
        first.weight.copy_(net.first.weight.view(8, 1, 7, 7))
        second.weight.copy_(net.second.weight.view(16, 2, 2, 8).permute(0, 3, 1, 2))
        first.bias.copy_(net.first.bias)
        second.bias.copy_(net.second.bias)
    maps = second(first(x).relu()).relu().permute(0, 2, 3, 1).flatten(1)
    torch.testing.assert_close(net(m12._patches(x) / 255), net.head(maps), rtol=1e-4, atol=1e-5)


def test_ghost_batches_are_normalised_each_by_itself():
    norm, x = m12.Ghosts(8, affine=False), torch.randn(2 * m12.SMALL * 16, 8) + torch.arange(8)
    halves = norm(x).view(2, -1, 8)
    assert halves.mean(1).abs().max() < 1e-5
    assert (halves.var(1) - 1).abs().max() < 1e-2
    assert norm.eval()(x).mean() > 1


def test_sam_takes_the_gradient_uphill_and_leaves_the_weights_and_lars_makes_gradients_as_long_as_weights():
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, 3.0)

    def backward():
        model.zero_grad()
        model.weight.square().sum().backward()

    backward()
    m12._sharpness_aware(model, backward, radius=0.5)
    assert model.weight.item() == 3.0 and model.weight.grad.item() == 7.0
    m12._layerwise(model)
    assert model.weight.grad.item() == 3.0


def test_a_rate_that_diverges_is_told_in_numbers(random_images):
    s = m12.LargeBatches(steps=20)
    lost = m12.run(s, 0, m12.images(s, Job(0)), m12.RECIPES["plain"], m12.ARMS["large"], 1e20)
    assert lost["loss"] == 1e9 and m12._finite(-2.0) == -2.0


def seeds(gap, noisy, n=12, spread=0.2):
    """Made-up values in which every arm is best at its second rate, the small batch better by a gap in one recipe."""
    rng = np.random.default_rng(0)

    def runs(x):
        test = [0.5, x / 100, 0.5]
        return {"rate": [1, 2, 3], "validation": test, "test": test, "loss": [0, 0, 0]}

    for _ in range(n):
        base = 80 + rng.standard_normal()
        arms = {"small": base + gap, "large": base, "noisy": base + noisy}
        even = {"small": base, "large": base + 1, "noisy": base}
        yield {
            name: {k: runs(v + spread * rng.standard_normal()) for k, v in (arms if name == "batchnorm" else even).items()}
            for name in m12.RECIPES
        }


@pytest.mark.parametrize(
    ("gap", "noisy", "kind", "says"),
    [
        (2, 2, "reproduced", "batchnorm"),
        (2, 0.5, "not reproduced", "recovers three quarters: no"),
        (2, 1.5, "not run", "recovers three quarters: open"),
        (0, 0, "not run", "No gap at this scale"),
    ],
)
def test_noise_is_judged_where_there_is_a_gap(gap, noisy, kind, says):
    verdict = m12.judge(list(seeds(gap, noisy)))
    assert verdict.kind == kind and says in verdict.reason
    assert m12.judge(list(seeds(gap, noisy, n=4))).kind == "not run"


def test_the_large_batch_at_the_small_ones_rate_is_told_beside_its_own():
    values = list(seeds(2, 2, spread=0.0))
    for v in values:
        v["plain"]["small"]["validation"] = [1.0, 0.0, 0.0]
    points = m12._points(values, "plain")
    assert np.allclose(points[m12.SAME], 50) and np.allclose(points["large"] - points["noisy"], 1)
