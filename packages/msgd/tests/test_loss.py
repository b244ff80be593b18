"""One weighted backward pass is G W: on every device, under autocast, in chunks, and not with BatchNorm."""

import copy

import pytest
import torch
from torch.nn.functional import cross_entropy

import msgd
from claimkit.errors import InputError
from msgd.claims.algebra import gradient, network


@pytest.fixture
def batch():
    g = torch.Generator().manual_seed(0)
    return torch.randn(24, 1, 12, 12, generator=g, dtype=torch.float64), torch.randint(4, (24,), generator=g)


def explicit(model, x, y):
    """G by a loop over the samples."""
    columns = []
    for i in range(len(x)):
        model.zero_grad()
        cross_entropy(model(x[i : i + 1]), y[i : i + 1]).backward()
        columns.append(torch.cat([p.grad.flatten() for p in model.parameters()]))
    return torch.stack(columns, 1)


def test_the_weighted_pass_is_the_matrix_times_the_weights(batch, device):
    x, y = (t.to(device) for t in batch)
    model = network(False).to(device)
    w = msgd.GaussianFisher(24, 3.0).sample(torch.Generator(device).manual_seed(1))
    torch.testing.assert_close(
        gradient(model, x, y, w.weight), explicit(model, x, y) @ w.weight.double(), rtol=1e-11, atol=1e-13
    )


def test_gathered_rows_give_what_all_rows_give(batch):
    x, y = batch
    w = msgd.Bernoulli(24, 6).sample(torch.Generator().manual_seed(1))
    assert 0 < len(w.weight) < 24
    model = network(False)
    torch.testing.assert_close(
        gradient(model, w.take(x), w.take(y), w.weight), gradient(model, x, y, w.dense(24)), rtol=1e-11, atol=1e-13
    )


def test_rows_drawn_twice_count_twice():
    w = msgd.Weights(torch.tensor([0.5, 0.5]), torch.tensor([1, 1]))
    torch.testing.assert_close(w.dense(3), torch.tensor([0.0, 1.0, 0.0]))


def test_ghost_batches_add_up_without_batchnorm_and_not_with_it(batch):
    x, y = batch
    w = torch.randn(24, dtype=torch.float64)
    plain, normed = network(False), network(True)
    torch.testing.assert_close(gradient(plain, x, y, w, ghost=5), gradient(plain, x, y, w), rtol=1e-11, atol=1e-13)
    a, b = gradient(normed, x, y, w, ghost=8), gradient(normed, x, y, w)
    assert (a - b).norm() > 1e-3 * b.norm()


@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW, torch.optim.RMSprop])
def test_the_two_line_change_works_with_any_optimizer(batch, optimizer):
    x, y = batch
    model = network(False)
    noisy_mean = msgd.NoisyMean(msgd.match(msgd.MiniBatchFisher(1000, 24), 8), seed=3)
    steps = optimizer(model.parameters(), lr=0.3 if optimizer is torch.optim.SGD else 1e-2)
    before = cross_entropy(model(x), y).item()
    for _ in range(60):
        loss = noisy_mean(cross_entropy(model(x), y, reduction="none"))
        steps.zero_grad()
        loss.backward()
        steps.step()
    assert cross_entropy(model(x), y).item() < 0.7 * before


def test_without_noise_it_is_the_mean(batch):
    losses = torch.rand(24)
    torch.testing.assert_close(msgd.NoisyMean(msgd.MiniBatch(1000, 24))(losses), losses.mean())


def test_its_noise_disturbs_no_other_random_numbers_and_resumes():
    losses = torch.rand(24)
    noisy_mean = msgd.NoisyMean(msgd.MiniBatchCov(100, 24, 2.0), seed=1)
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    noisy_mean(losses)
    assert torch.rand(1) == expected
    state = copy.deepcopy(noisy_mean.state_dict())
    following = [noisy_mean(losses).item() for _ in range(3)]
    other = msgd.NoisyMean(msgd.MiniBatchCov(100, 24, 2.0), seed=9)
    other.load_state_dict(state)
    assert [other(losses).item() for _ in range(3)] == following


def test_under_autocast_the_weights_act_in_the_precision_of_the_losses(batch, device):
    x, y = batch[0].float().to(device), batch[1].to(device)
    model = network(False).float().to(device)
    w = msgd.GaussianFisher(24, 2.0).sample(torch.Generator(device).manual_seed(0))
    with torch.autocast(device, dtype=torch.bfloat16):
        losses = cross_entropy(model(x), y, reduction="none")
        loss = msgd.weighted_loss(losses, w)
    assert loss.dtype == losses.dtype == torch.float32
    loss.backward()
    low = torch.cat([p.grad.flatten() for p in model.parameters()])
    full = gradient(model, x, y, w.weight)
    assert (low - full).norm() < 0.05 * full.norm()


@pytest.mark.gpu
def test_a_gradient_scaler_leaves_the_weighted_gradient_as_it_is(batch):
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    x, y = batch[0].float().cuda(), batch[1].cuda()
    model = network(False).float().cuda()
    w = msgd.GaussianFisher(24, 2.0).sample(torch.Generator("cuda").manual_seed(0))
    steps, scaler = torch.optim.SGD(model.parameters(), lr=0.0), torch.amp.GradScaler("cuda")
    with torch.autocast("cuda", dtype=torch.float16):
        loss = msgd.weighted_loss(cross_entropy(model(x), y, reduction="none"), w)
    scaler.scale(loss).backward()
    scaler.unscale_(steps)
    low = torch.cat([p.grad.flatten() for p in model.parameters()])
    full = gradient(model, x, y, w.weight)
    assert (low - full).norm() < 0.05 * full.norm()


def test_losses_that_are_reduced_or_of_other_rows_are_refused(batch):
    with pytest.raises(InputError, match='use reduction="none"'):
        msgd.weighted_loss(torch.tensor(1.0), torch.ones(1))
    with pytest.raises(InputError, match='use reduction="none"'):
        msgd.NoisyMean(msgd.MiniBatch(10, 5))(torch.tensor(1.0))
    with pytest.raises(InputError, match="3 losses but 2 weights"):
        msgd.weighted_loss(torch.ones(3), torch.ones(2))
