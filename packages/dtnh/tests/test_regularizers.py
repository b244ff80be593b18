"""L2-SP in closed form, feature maps and logits; in the loop, guarded and not."""

import copy

import pytest
import torch
from torch.nn.functional import cross_entropy

from claimkit.errors import InputError
from claimkit.transfer import regularizers
from claimkit.transfer.data import Images, View
from claimkit.transfer.loop import FineTuning, finetune
from claimkit.transfer.networks import SmallCNN, create
from claimkit.transfer.regularizers import Regularizer, Step
from claimkit.transfer.tasks import Task
from dtnh import L2SP, FeatureMaps, Guard, Guarded, LogitDistillation, fit, project
from dtnh.finetune.guarded import Combined, RandomDirection, Symmetric

VIEW = View(8, flip=False, mean=(0,), std=(1,))


# as in claimkit's test of the loop, but seen without a shift: a test shows what it measures on
@pytest.fixture
def task():
    """Two classes that differ in brightness, and an untrained source."""
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(60) % 2
    x = torch.randn(60, 1, 8, 8, generator=generator) + 2 * y[:, None, None, None]
    images = Images(x, y, ("dark", "light"))
    return Task("brightness", SmallCNN(1, (4, 8), 5), images, images, VIEW, per_class=20)


def moved(task, seed=0):
    model = task.network(seed)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.1 * torch.randn(p.shape, generator=torch.Generator().manual_seed(1)))
    return model


def a_step(task, model):
    train = task.split(0).train
    return Step(model, dict(model.named_parameters()), "fc", cross_entropy(model(train.x), train.y), train.x, train.y)


@pytest.mark.parametrize("include", ["all", "weights"])
def test_l2sp_is_its_own_gradient_and_that_of_claimkit(task, include):
    model = moved(task)
    ours = L2SP(model, task.source, 0.3, include)
    expected = torch.autograd.grad(ours.value(), list(ours.parameters.values()))
    theirs = regularizers.L2SP(task.source, 0.3, include).gradient(a_step(task, model))
    assert ours.grad().keys() == theirs.keys()
    for t, e, o in zip(ours.grad().values(), expected, theirs.values(), strict=True):
        assert torch.allclose(t, e, rtol=1e-5, atol=1e-7) and torch.equal(t, o)


def test_a_checkpoint_tells_sources_apart_guarded_or_not(task):
    for way in (lambda s: FeatureMaps(s, ["conv2"]), LogitDistillation, lambda s: Guarded(regularizers.L2SP(s, 0.1))):
        ours, copied, moves = way(task.source), way(copy.deepcopy(task.source)), way(moved(task))
        assert ours.source_digest() == copied.source_digest() != moves.source_digest() != ""


def test_l2sp_anchors_where_it_stands_keeps_one_copy_and_sees_small_moves_in_bfloat16(task):
    model = task.network(0).bfloat16()
    pull = L2SP(model, alpha=2.0)
    count = sum(p.numel() for n, p in model.named_parameters() if not n.startswith("fc."))
    assert sum(t.numel() for t in pull.source.values()) == count
    assert all(t.dtype == torch.float32 for t in pull.source.values())
    assert pull.value().item() == 0
    with torch.no_grad():
        model.get_parameter("conv1.weight").add_(1)
    assert pull.grad()["conv1.weight"].abs().max() > 1
    with pytest.raises(InputError, match="no parameter in common"):
        L2SP(model, {"other": torch.ones(1)})
    with pytest.raises(InputError, match=r"conv1.weight has shape"):
        L2SP(model, {"conv1.weight": torch.ones(1)})
    with pytest.raises(InputError, match="alpha = -1"):
        L2SP(model, alpha=-1)


def test_feature_maps_are_the_formula(task):
    model = moved(task).eval()
    reg = FeatureMaps(task.source, ["conv1", "conv2"], 0.5)
    x = torch.randn(3, 1, 8, 8)
    with reg.watch(model):
        model(x)
        got = reg(x)
    a, b = model.get_submodule, task.source.eval().get_submodule
    f1, s1 = a("conv1")(x), b("conv1")(x)
    front = ["conv1", "bn1", "relu1", "pool1", "conv2"]
    f2, s2 = x, x
    for name in front:
        f2, s2 = a(name)(f2), b(name)(s2)
    expected = 0.5 / 2 * (((f1 - s1) ** 2).sum() / 64 + ((f2 - s2) ** 2).sum() / 16)
    assert torch.allclose(got, expected)
    assert got.requires_grad and not any(p.requires_grad for p in reg.source.parameters())


def test_equal_networks_in_eval_mode_have_equal_features_and_logits(task):
    model = copy.deepcopy(task.source).eval()
    x = torch.randn(3, 1, 8, 8)
    for reg in (FeatureMaps(task.source), LogitDistillation(task.source)):
        with reg.watch(model):
            model(x)
            assert abs(reg(x).item()) < 1e-6


@pytest.mark.parametrize(
    ("arch", "layers"),
    [
        ("cifar-resnet20", ("layer1.2.conv2", "layer2.2.conv2", "layer3.2.conv2")),
        ("resnet18", ("layer1.1.conv2", "layer2.1.conv2", "layer3.1.conv2", "layer4.1.conv2")),
    ],
)
def test_layers_are_the_last_convolution_of_each_resolution(arch, layers):
    source = create(arch)
    reg = FeatureMaps(source)
    x = torch.randn(1, 3, 64, 64)
    with reg.watch(source.eval()):
        source(x)
        reg(x)
    assert reg.layers == layers
    assert not any(m._forward_hooks for m in source.modules())


def test_a_head_that_is_a_convolution_is_not_compared():
    source = create("squeezenet1_1")
    images = Images(torch.rand(8, 3, 40, 40), torch.arange(8) % 2, ("a", "b"))
    view = View(40, mean=(0,) * 3, std=(1,) * 3)
    settings = FineTuning(1, 4, augment=False)
    for regularizer in ("featmap", "logits"):
        assert len(fit(source, images, regularizer=regularizer, view=view, settings=settings).conflicts) == 1


def test_hooks_go_and_the_source_stays_whatever_happens(task):
    before = copy.deepcopy(task.source.state_dict())
    model = task.network(0)
    for reg in (FeatureMaps(task.source), LogitDistillation(task.source)):
        finetune(model, task.split(0), VIEW, FineTuning(3, 16, 0.05), Guarded(reg))
        with pytest.raises(ZeroDivisionError), reg.watch(model):
            raise ZeroDivisionError
        assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
        with pytest.raises(InputError, match="run the model within"):
            reg(torch.randn(2, 1, 8, 8))
        assert all(torch.equal(before[k], v) for k, v in reg.source.state_dict().items())


def test_arguments_that_cannot_be_are_refused(task):
    for wrong, sentence in (
        (lambda: FeatureMaps(task.source, ["conv9"]), "no layer 'conv9'"),
        (lambda: FeatureMaps(task.source, alpha=-1), "alpha = -1"),
        (lambda: LogitDistillation(task.source, temperature=0), "temperature = 0"),
        (lambda: fit(task.source, task.pool, regularizer="lasso"), "'lasso' is none of l2, l2sp, featmap, logits"),
    ):
        with pytest.raises(InputError, match=sentence):
            wrong()


@pytest.mark.parametrize("kind", ["l2sp", "featmap", "logits"])
def test_guarded_in_the_loop_is_the_guard_outside(task, kind):
    base = {
        "l2sp": lambda: regularizers.L2SP(task.source, 3.0),
        "featmap": lambda: FeatureMaps(task.source, alpha=0.5),
        "logits": lambda: LogitDistillation(task.source, 5.0),
    }[kind]()
    inside, outside = moved(task), moved(task)
    method = Guarded(base)
    with method.watch(inside):
        method.backward(a_step(task, inside))
    with base.watch(outside):
        step = a_step(task, outside)
        Guard(outside).backward(step.loss, base.penalty(step), base.gradient(step) or None)
    assert all(
        torch.allclose(a.grad, b.grad, atol=1e-6) for a, b in zip(inside.parameters(), outside.parameters(), strict=True)
    )
    assert len(method.conflicts) == 1


def test_without_a_regulariser_the_guard_is_plain_fine_tuning(task):
    a, b = moved(task), moved(task)
    Guarded(Regularizer()).backward(a_step(task, a))
    a_step(task, b).loss.backward()
    assert all(torch.equal(p.grad, q.grad) for p, q in zip(a.parameters(), b.parameters(), strict=True))
    assert len(Guarded(Regularizer()).conflicts) == 0


def test_the_rivals_combine_as_they_say(task):
    base = regularizers.L2SP(task.source, 3.0)
    models = [moved(task) for _ in range(4)]
    for method, model in zip([base, Combined(base), Symmetric(base), RandomDirection(base)], models, strict=True):
        method.backward(a_step(task, model))
    plain, combined, symmetric, random = ([p.grad for p in m.parameters()] for m in models)
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(plain, combined, strict=True))
    model = moved(task)
    step = a_step(task, model)
    r = base.gradient(step)
    g = dict(zip(step.parameters, torch.autograd.grad(step.loss, list(step.parameters.values())), strict=True))
    ours, _ = project([g[n] for n in r], [r[n] for n in r], out="regularizer")
    theirs, _ = project([r[n] for n in r], [g[n] for n in r], out="regularizer")
    for n, p, a, b in zip(step.parameters, symmetric, ours, theirs, strict=False):
        assert torch.allclose(p, a + b, atol=1e-6), n
    kept = [p - g[n] for n, p in zip(step.parameters, random, strict=True) if n in r]
    size = sum(float(t.square().sum()) for t in r.values())
    assert size * 0.9 < sum(float(t.square().sum()) for t in kept) <= size * 1.0001


def test_fit_in_one_call_with_any_regulariser_of_the_loop(task):
    settings = FineTuning(30, 16, 0.05, augment=False)
    for reg in ("l2", "l2sp", "featmap", "logits", regularizers.L2SP(task.source, 0.01)):
        done = fit(task.source, task.pool, task.pool, reg, view=VIEW, settings=settings)
        assert len(done.conflicts) == 30 and done.result.test.accuracy > 0.6, reg
    assert len(fit(task.source, task.pool, task.pool, guard=False, view=VIEW, settings=settings).conflicts) == 0


def test_deltas_regulariser_is_guarded_as_any_other(task):
    delta = pytest.importorskip("delta")
    reg = delta.DELTA(task.source, ["conv1", "conv2"], alpha=0.5)
    model, x, y = moved(task), task.pool.x[:8], task.pool.y[:8]
    with reg.watch(model):
        assert Guard(model).backward(cross_entropy(model(x), y), 0.5 * reg(x, model)).reg_norm.item() > 0
    settings = FineTuning(2, 8, augment=False)
    assert len(fit(task.source, task.pool, regularizer=reg, view=VIEW, settings=settings).conflicts) == 2


def test_distillation_is_of_the_batch_that_the_model_saw_last(task):
    model, (x, other) = moved(task), task.split(0).train.x.split(16)[:2]
    reg = LogitDistillation(task.source, 0.7)
    with reg.watch(model):
        model(x)
        expected = reg(x).item()
        model(x), model(other)
        with pytest.raises(InputError, match="another batch"):
            reg(x)
        model(x)
        assert reg(x).item() == expected
        with torch.no_grad():
            model(x)
        with pytest.raises(InputError, match="without gradients"):
            reg(x)


@pytest.mark.parametrize("wrong", [{"alpha": float("nan")}, {"include": "weight"}])
def test_l2sp_refuses_what_means_nothing(task, wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        L2SP(task.network(0), task.source, **wrong)
