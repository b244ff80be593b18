"""Feature maps kept: distance, gradient, what is caught in a pass, teachers; in loops as people have them."""

import copy
import io
from contextlib import nullcontext

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.checkpoint import checkpoint

from claimkit.errors import InputError
from claimkit.transfer.maps import FeatureMaps
from claimkit.transfer.maps.cache import FeatureCache
from claimkit.transfer.maps.distance import feature_distance
from claimkit.transfer.maps.teachers import Teacher

SHAPES = st.sampled_from(
    [((2, 3, 4, 5), 1), ((2, 4, 5, 3), 3), ((3, 7, 2), 2), ((3, 2, 7), 1), ((4, 6), 1), ((2, 3, 2, 2, 2), 1)]
)


def literal(student, source, weights, axis):
    """By autograd, term by term."""
    area = student[0].numel() // student.shape[axis]
    squares = (student - source).square().movedim(axis, -1)
    return (squares if weights is None else squares * weights).sum() / (2 * area)


@settings(max_examples=25, deadline=None)
@given(shape=SHAPES, seed=st.integers(0, 99), weighted=st.booleans(), last=st.booleans())
def test_value_and_gradient_are_those_of_autograd(shape, seed, weighted, last):
    size, axis = shape
    g = torch.Generator().manual_seed(seed)
    a, b = torch.randn(size, generator=g).double(), torch.randn(size, generator=g).double()
    if last and len(size) == 4:
        a, b = (t.to(memory_format=torch.channels_last) for t in (a, b))
    v = torch.rand(size[axis], generator=g).double() if weighted else None
    ours, theirs = a.clone().requires_grad_(), a.clone().requires_grad_()
    value, expected = feature_distance(ours, b, v, axis), literal(theirs, b, v, axis)
    (3 * value).backward()
    (3 * expected).backward()
    assert torch.allclose(value, expected, rtol=1e-12) and torch.allclose(ours.grad, theirs.grad, rtol=1e-10)
    assert torch.autograd.gradcheck(lambda t: feature_distance(t, b, v, axis), a.clone().requires_grad_())


def test_half_precision_is_summed_in_float32_and_large_sums_are_right():
    a = torch.randn(8, 64, 56, 56, generator=torch.Generator().manual_seed(0))
    for layout in (torch.contiguous_format, torch.channels_last):
        x, y = (t.to(memory_format=layout) for t in (a, 0.9 * a))
        for v in (None, torch.rand(64)):
            expected = literal(x.double(), y.double(), None if v is None else v.double(), 1)
            assert abs(feature_distance(x, y, v) / expected - 1) < 1e-6
    with torch.inference_mode():
        constant = 0.9 * a
    for layout in (torch.contiguous_format, torch.channels_last):
        student = a.clone(memory_format=layout).requires_grad_()
        feature_distance(student, constant).backward()
        assert torch.allclose(student.grad, 0.1 * a / 56**2, atol=1e-9)
    low = a.bfloat16().requires_grad_()
    value = feature_distance(low, torch.zeros_like(a))
    value.backward()
    assert value.dtype == torch.float32 and low.grad.dtype == torch.bfloat16
    with pytest.raises(RuntimeError, match=r"once_differentiable|does not require grad"):
        torch.autograd.grad(torch.autograd.grad(feature_distance(low, a), low, create_graph=True)[0].sum(), low)


class Tokens(nn.Module):
    """An image as ``(batch, 9, 5)`` tokens, or as ``(batch, 3, 3, 5)``, normalised and passed on."""

    def __init__(self, norm, flat):
        super().__init__()
        self.embed, self.norm, self.act, self.fc, self.flat = nn.Conv2d(3, 5, 2, 2), norm, nn.GELU(), nn.Linear(5, 2), flat

    def forward(self, x):
        x = self.embed(x).permute(0, 2, 3, 1)
        x = self.act(self.norm(x.flatten(1, 2) if self.flat else x))
        return self.fc(x.flatten(1, -2).mean(1))


@pytest.mark.parametrize("flat", [True, False])
@pytest.mark.parametrize("norm", [nn.LayerNorm, nn.RMSNorm])
@pytest.mark.parametrize("layer", ["norm", "act"])
def test_behind_a_norm_of_tokens_channels_are_last(norm, flat, layer):
    torch.manual_seed(0)
    source, x = Tokens(norm(5), flat), torch.randn(2, 3, 6, 6)
    student = copy.deepcopy(source)
    student.embed.weight.data.mul_(1.1)
    v = torch.tensor([0.5, 2, 1, 0.2, 1.3])
    maps = []
    for model in (student, source):
        handle = model.get_submodule(layer).register_forward_hook(lambda _m, _i, out: maps.append(out.detach()))
        model(x)
        handle.remove()
    value = FeatureMaps(source, [layer], weights=[v]).distance(x, student)
    torch.testing.assert_close(value.detach(), ((maps[0] - maps[1]).square() * v).sum() / (2 * 9))
    flattened = FeatureMaps(source, [layer]).distance(x, student)
    torch.testing.assert_close(flattened.detach(), (maps[0] - maps[1]).square().sum() / (2 * 9))


class Net(nn.Module):
    """A convolution, a block that may be checkpointed, with an in-place ReLU, and a head."""

    def __init__(self, how=None):
        super().__init__()
        self.a, self.fc, self.how, self.passes = nn.Conv2d(3, 4, 3), nn.Linear(4, 2), how, 0
        self.b = nn.Sequential(nn.Conv2d(4, 4, 3), nn.ReLU(inplace=True), nn.BatchNorm2d(4))

    def forward(self, x):
        self.passes += 1
        x = torch.relu(self.a(x))
        x = self.b(x) if self.how is None else checkpoint(self.b, x, use_reentrant=self.how == "reentrant")
        return self.fc(x.mean((2, 3)))


@pytest.fixture
def pair():
    torch.manual_seed(0)
    source = Net().eval()
    student = copy.deepcopy(source)
    with torch.no_grad():
        for p in student.parameters():
            p.add_(0.1 * torch.randn_like(p))
    return source, student, torch.randn(4, 3, 8, 8)


def expected(source, student, x):
    """Value and gradient of the distance at the first convolution of the block, by hand."""
    a, b = (m.b[0](torch.relu(m.a(x))) for m in (student, source))
    value = (a - b.detach()).square().sum() / (2 * 16)
    return value, torch.autograd.grad(value, student.a.weight)[0]


def measured(reg, model, x, inner=None):
    with reg.watch(model):
        out = model(x)
        value = reg.distance(x, model)
        gradient = torch.autograd.grad(value + 0 * out.sum(), (inner or model).a.weight)[0]
    return value, gradient


def test_an_overwritten_output_is_caught_as_it_was(pair):
    source, student, x = pair
    value, gradient = expected(*pair)
    reg = FeatureMaps(source, ["b.0"])
    for _ in range(2):
        got = measured(reg, student, x)
        assert torch.allclose(got[0], value) and torch.allclose(got[1], gradient, atol=1e-7)


def test_checkpoints_are_exact_or_refused(pair):
    source, student, x = pair
    value, gradient = expected(*pair)
    student.how = "not reentrant"
    got = measured(FeatureMaps(source, ["b.0"]), student, x)
    assert torch.allclose(got[0], value) and torch.allclose(got[1], gradient, atol=1e-7)
    student.how = "reentrant"
    with pytest.raises(InputError, match=r"'b.0' ran without gradients, as in a reentrant checkpoint"):
        measured(FeatureMaps(source, ["b.0"]), student, x)


def test_frozen_layers_are_no_mistake(pair):
    source, student, x = pair
    student.requires_grad_(False).fc.requires_grad_(True)
    reg = FeatureMaps(source, ["a"])
    with reg.watch(student):
        student(x)
        assert reg.distance(x, student).item() > 0


@pytest.mark.filterwarnings("ignore:The .grad attribute")  # torch's own, while it compiles
def test_compiled_models_and_copies_of_them(pair):
    source, student, x = pair
    value, gradient = expected(*pair)
    for early in (True, False):
        torch._dynamo.reset()
        reg = FeatureMaps(source, ["b.0"])
        compiled = torch.compile(student, backend="aot_eager")
        if early:
            compiled(x)
        got = measured(reg, compiled, x, student)
        assert torch.allclose(got[0], value) and torch.allclose(got[1], gradient, atol=1e-7)


@pytest.mark.parametrize("way", ["same", "channels last", "a copy"])
def test_a_pass_is_recognised_whatever_was_done_to_its_input(pair, way):
    source, student, x = pair
    given = {
        "same": x,
        "channels last": x.contiguous(memory_format=torch.channels_last),
        "a copy": x.clone(),
    }[way]
    reg = FeatureMaps(source, ["a"])
    with reg.watch(student):
        student(given)
        before = student.passes
        reg.distance(x, student)
        assert student.passes == before
        student(given + 1)
        reg.distance(x, student)
        assert student.passes == before + 2, "other images are another pass"


def test_an_input_that_was_written_to_is_seen_as_it_is_now(pair):
    source, student, x = pair
    reg = FeatureMaps(source, ["a"])
    with reg.watch(student):
        student(x)
        x.mul_(2)
        got = reg.distance(x, student)
    a, b = student.a(x), source.a(x)
    assert torch.allclose(got, (a - b).square().sum() / 72)


def test_a_network_that_writes_into_its_input_is_refused():
    model = nn.Sequential(nn.ReLU(inplace=True), nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(144, 2))
    reg, x = FeatureMaps(model, ["1"]), torch.randn(2, 3, 8, 8)
    with reg.watch(model), pytest.raises(InputError, match="writes into its input"):
        model(x)
        reg.distance(x, model)


def test_the_autocast_around_the_call_holds_for_the_source(pair):
    source, student, x = pair
    reg, seen = FeatureMaps(source, ["a"]), []
    reg.source.a.register_forward_hook(lambda _m, _i, o: seen.append(o.dtype))
    with reg.watch(student), torch.autocast("cpu", torch.bfloat16):
        student(x)
        assert reg.distance(x, student).dtype == torch.float32
    assert seen[0] == torch.bfloat16
    reg.features(x)
    assert seen[-1] == torch.float32


def test_batchnorm_in_eval_mode_without_watching_and_back_afterwards(pair):
    source, _, x = pair
    student = copy.deepcopy(source).train()
    reg = FeatureMaps(source, ["b"], student_bn="eval")
    assert reg.distance(x, student).item() == 0
    student(x)
    assert reg.distance(x, student).item() == 0 and not student.b[2].training
    reg.close()
    assert student.b[2].training


def test_teachers_that_are_not_copied(pair):
    source, student, x = pair
    moving = copy.deepcopy(source)
    value = expected(*pair)[0]
    for teacher in (Teacher(moving), Teacher(moving, ["b.0"]), lambda t: [source.b[0](torch.relu(source.a(t)))]):
        assert torch.allclose(FeatureMaps(teacher, ["b.0"]).distance(x, student), value)
    reg = FeatureMaps(Teacher(moving.train()), ["b.0"])
    with torch.no_grad():
        for p, q in zip(moving.parameters(), student.parameters(), strict=True):
            p.copy_(q)
    assert reg.distance(x, student).item() == 0 and moving.b[2].training
    assert int(moving.b[2].num_batches_tracked) == int(source.b[2].num_batches_tracked)
    with pytest.raises(InputError, match="does not say which layers"):
        FeatureMaps(lambda t: [t])
    with pytest.raises(InputError, match="gives 2 feature maps for 1 layers"):
        FeatureMaps(lambda t: [t, t], ["b.0"]).distance(x, student)


class Adapted(nn.Module):
    """A frozen convolution with an adapter that can be switched off, as in parameter-efficient fine-tuning."""

    def __init__(self):
        super().__init__()
        self.base, self.adapter, self.on = nn.Conv2d(3, 4, 3).requires_grad_(False), nn.Conv2d(3, 4, 3), True
        self.body, self.fc = nn.Sequential(nn.Conv2d(4, 5, 3)), nn.Linear(5, 2)

    def disable_adapter(self):
        adapted = self

        class Off:
            def __enter__(self):
                adapted.on = False

            def __exit__(self, *_):
                adapted.on = True

        return Off()

    def forward(self, x):
        x = self.base(x) + (self.adapter(x) if self.on else 0)
        return self.fc(self.body(torch.relu(x)).mean((2, 3)))


def test_the_teacher_is_the_model_without_its_adapters():
    torch.manual_seed(0)
    model, x = Adapted(), torch.randn(3, 3, 8, 8)
    reg = FeatureMaps(Teacher(model, within=model.disable_adapter), ["body.0"])
    a = model.body(torch.relu(model.base(x) + model.adapter(x)))
    b = model.body(torch.relu(model.base(x))).detach()
    right = torch.autograd.grad((a - b).square().sum() / 32, model.adapter.weight)[0]
    with reg.watch(model):
        for _ in range(2):
            assert model(x).shape == (3, 2)  # the teacher's hooks do not end the model's own pass
            value = reg.distance(x, model)
            assert torch.allclose(torch.autograd.grad(value, model.adapter.weight)[0], right, atol=1e-6) and model.on


def test_a_layer_that_is_called_twice_is_refused():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.c, self.fc = nn.Conv2d(3, 3, 3, padding=1), nn.Linear(3, 2)

        def forward(self, x):
            return self.fc(self.c(self.c(x)).mean((2, 3)))

    reg, model, x = FeatureMaps(Twice(), ["c"]), Twice(), torch.randn(2, 3, 4, 4)
    with reg.watch(model), pytest.raises(InputError, match="'c' is called more than once"):
        model(x)
        reg.distance(x, model)


def test_a_watched_model_can_be_saved(pair):
    source, student, x = pair
    reg = FeatureMaps(source, ["a"])
    with reg.watch(student):
        student(x)
        saved = io.BytesIO()
        torch.save(student, saved)
    saved.seek(0)
    again = torch.load(saved, weights_only=False)
    assert torch.equal(again(x), student(x))


def test_features_of_a_teacher_that_moves_are_not_remembered():
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Conv2d(4, 2, 1))
    averaged, x, rows = copy.deepcopy(model), torch.randn(2, 3, 4, 4), torch.arange(2)
    reg = FeatureMaps(Teacher(averaged), ["0"], cache=FeatureCache(2))
    assert reg.distance(x, model, rows).item() == reg.distance(x, model, rows).item() == 0
    with torch.no_grad():
        averaged[0].weight.add_(1)
    with pytest.raises(InputError, match="the teacher has changed"):
        reg.distance(x, model, rows)
    kept = FeatureMaps(Teacher(averaged, within=lambda: nullcontext()), ["0"], cache=FeatureCache(2))
    kept.distance(x, model, rows)
    with torch.no_grad():
        averaged[2].weight.add_(1)
    kept.distance(x, model, rows)  # what the context switches off may be trained
