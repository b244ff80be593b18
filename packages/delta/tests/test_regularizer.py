"""The regulariser: its formula, its gradient, BatchNorm, what it leaves behind."""

import copy
import pickle

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import cross_entropy

from claimkit.errors import InputError
from claimkit.transfer.maps.distance import feature_distance
from claimkit.transfer.maps.features import unwrapped
from delta import DELTA, Attention, FeatureCache
from delta.claims.exact import literal

LAYERS = ("layer1.0.conv2", "layer3.0.conv2")


def moved(model, by=0.05):
    """A copy a little away, in train mode."""
    other = copy.deepcopy(model)
    with torch.no_grad():
        for p in other.parameters():
            p.add_(by * torch.randn_like(p))
    return other.train()


def attention(model):
    return Attention(tuple(torch.randn(len(model.get_submodule(n).weight)) for n in LAYERS), LAYERS)


def outputs(model, x):
    seen = []
    handles = [model.get_submodule(n).register_forward_hook(lambda m, i, o: seen.append(o.detach().clone())) for n in LAYERS]
    model(x)
    for h in handles:
        h.remove()
    return seen


@given(
    shape=st.sampled_from([(2, 3, 4, 5), (1, 1, 1, 1), (3, 7, 2), (4, 6)]),
    seed=st.integers(0, 99),
    weighted=st.booleans(),
)
def test_the_distance_is_its_formula_for_maps_tokens_and_vectors(shape, seed, weighted):
    g = torch.Generator().manual_seed(seed)
    a, b = torch.randn(shape, generator=g), torch.randn(shape, generator=g)
    first = [t.movedim(2, 1) if t.ndim == 3 else t for t in (a.double(), b.double())]
    channels, area = first[0].shape[1], first[0][0, 0].numel()
    v = torch.rand(channels, generator=g) if weighted else None
    expected = 0.0
    for i in range(shape[0]):
        for c in range(channels):
            weight = 1.0 if v is None else float(v[c])
            expected += 0.5 * weight * float((first[0][i, c] - first[1][i, c]).square().sum()) / area
    assert feature_distance(a, b, v).item() == pytest.approx(expected, rel=1e-6)


def test_by_hand():
    student = torch.tensor([[[[1.0, 2.0]], [[3.0, 0.0]]]])  # one image, two channels of 1 x 2
    source = torch.zeros(1, 2, 1, 2)
    assert feature_distance(student, source).item() == (5 + 9) / 2 / 2
    assert feature_distance(student, source, torch.tensor([1.5, 0.5])).item() == (1.5 * 5 + 0.5 * 9) / 2 / 2


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_the_regulariser_equals_a_literal_transcription(resnet, mode):
    x, a, student = torch.randn(3, 3, 16, 16), attention(resnet), moved(resnet).train(mode == "train")
    reg = DELTA(resnet, LAYERS, a)
    expected = literal(outputs(copy.deepcopy(student), x), outputs(resnet, x), a.gaps)
    with reg.watch(student):
        student(x)
        assert reg(x, student).item() == pytest.approx(expected, rel=1e-6)


def test_equal_networks_in_eval_mode_give_zero_and_a_zero_gradient(resnet):
    x, student = torch.randn(2, 3, 16, 16), copy.deepcopy(resnet)
    student.requires_grad_(True)
    value = DELTA(resnet, LAYERS)(x, student)
    value.backward()
    assert value.item() == 0
    assert all((p.grad is None) or not p.grad.any() for p in student.parameters())


def test_equal_networks_in_train_mode_differ_by_batchnorm_unless_it_stays_in_eval_mode(resnet):
    x, student = torch.randn(4, 3, 16, 16), copy.deepcopy(resnet).train()
    reg, still = DELTA(resnet, LAYERS), DELTA(resnet, LAYERS, student_bn="eval")
    with reg.watch(student):
        student(x)
        assert reg(x, student).item() > 1e-3
    student.load_state_dict(resnet.state_dict())
    with still.watch(student):
        student(x)
        assert still(x, student).item() == 0


def test_the_gradient_agrees_with_finite_differences(resnet):
    source, student = resnet.double(), moved(resnet.double())
    reg, x = DELTA(source, LAYERS, attention(source)), torch.randn(2, 3, 16, 16, dtype=torch.float64)
    weight = student.get_submodule("conv1").weight

    def value():
        return reg(x, student)

    value().backward()
    direction = torch.randn_like(weight)
    slope = (weight.grad * direction).sum().item()
    with torch.no_grad():
        weight.add_(1e-7 * direction)
        up = value().item()
        weight.sub_(2e-7 * direction)
        down = value().item()
    assert (up - down) / 2e-7 == pytest.approx(slope, rel=1e-3)


def test_reductions_differ_by_the_batch_size(resnet):
    x, student = torch.randn(4, 3, 16, 16), moved(resnet)
    total, mean = (DELTA(resnet, LAYERS, reduction=r)(x, student) for r in ("sum", "mean"))
    assert mean.item() == pytest.approx(total.item() / 4)


def test_without_attention_all_weights_are_one(resnet):
    x, student = torch.randn(4, 3, 16, 16), moved(resnet)
    flat = Attention(tuple(torch.zeros(len(resnet.get_submodule(n).weight)) for n in LAYERS), LAYERS)
    assert DELTA(resnet, LAYERS)(x, student).item() == pytest.approx(
        DELTA(resnet, LAYERS, flat)(x, student).item(), rel=1e-6
    )


def test_three_lines_in_a_plain_loop_use_the_forward_pass_of_the_loop(resnet):
    student = moved(resnet)
    passes = []
    student.get_submodule("conv1").register_forward_hook(lambda *_: passes.append(1))
    reg = DELTA(resnet, LAYERS)
    for _ in range(3):
        x, y = torch.randn(4, 3, 16, 16), torch.tensor([0, 1, 2, 3])
        loss = cross_entropy(student(x), y) + 0.1 * reg(x, student)
        loss.backward()
    assert len(passes) == 4  # the first call starts watching, with one pass of its own


def test_inputs_given_by_name_are_recognised(resnet):
    class Named(nn.Module):
        def __init__(self, body):
            super().__init__()
            self.body, self.passes = body, 0

        def forward(self, pixel_values=None, labels=None):
            self.passes += 1
            return self.body(pixel_values)

    source, student, x = Named(resnet), Named(moved(resnet)), torch.randn(2, 3, 16, 16)
    reg = DELTA(source, [f"body.{n}" for n in LAYERS])
    with reg.watch(student):
        student(pixel_values=x, labels=None)
        reg(x, student).backward()
    assert student.passes == 1


def test_an_extra_pass_leaves_the_running_statistics_alone(resnet):
    x, student = torch.randn(4, 3, 16, 16), moved(resnet)
    before = {k: v.clone() for k, v in student.named_buffers()}
    DELTA(resnet, LAYERS)(x, student)
    assert all(torch.equal(v, before[k]) for k, v in student.named_buffers())


def test_a_pass_on_other_images_is_not_mistaken_for_the_batch(resnet):
    x, other, student = torch.randn(2, 3, 16, 16), torch.randn(2, 3, 16, 16), moved(resnet).eval()
    reg = DELTA(resnet, LAYERS)
    expected = reg(x, student).item()
    student(x)
    with torch.no_grad():
        student(other)
    value = reg(x, student)
    assert value.item() == pytest.approx(expected) and value.requires_grad


def test_outputs_that_are_overwritten_in_place_are_copied(inplace):
    x, student = torch.randn(2, 3, 8, 8), moved(inplace)
    reg = DELTA(inplace, ("0", "3"))
    raw = [copy.deepcopy(student)[0](x), copy.deepcopy(inplace)[0](x)]
    assert raw[0].min() < 0
    first = feature_distance(*raw)
    second = [n[3](n[2](torch.relu(r))) for n, r in zip((student, inplace), raw, strict=True)]
    expected = (first + feature_distance(*second)).item()
    with reg.watch(student):
        for _ in range(3):
            student(x)
            assert reg(x, student).item() == pytest.approx(expected, rel=1e-5)


def test_hooks_are_removed_and_the_source_does_not_change_even_if_it_is_the_model_that_is_trained(resnet):
    model = copy.deepcopy(resnet).train()
    before = copy.deepcopy(model.state_dict())
    reg, optimizer = DELTA(model, LAYERS), torch.optim.SGD(model.parameters(), 0.1)
    hooks = [len(m._forward_hooks) for m in model.modules()]
    with pytest.raises(ZeroDivisionError), reg.watch(model):
        x = torch.randn(4, 3, 16, 16)
        (cross_entropy(model(x), torch.tensor([0, 1, 2, 3])) + reg(x, model)).backward()
        optimizer.step()
        raise ZeroDivisionError
    assert [len(m._forward_hooks) for m in model.modules()] == hooks
    assert not torch.equal(model.get_submodule("conv1").weight, before["conv1.weight"])
    assert all(torch.equal(v, before[k]) for k, v in reg.source.state_dict().items())


def test_a_watched_model_can_be_copied_and_pickled(resnet):
    student, x = moved(resnet), torch.randn(2, 3, 16, 16)
    reg = DELTA(resnet, LAYERS)
    reg(x, student)
    for twin in (copy.deepcopy(student), pickle.loads(pickle.dumps(student))):
        twin(x)
        assert not reg._taps.saw(x)


def test_wrapped_models_are_looked_into(resnet):
    assert unwrapped(nn.DataParallel(resnet)) is resnet
    student, x = moved(resnet), torch.randn(2, 3, 16, 16)
    reg = DELTA(resnet, LAYERS)
    assert reg(x, nn.DataParallel(student)).item() == pytest.approx(reg(x, student).item())


def test_cached_features_give_the_same_value_and_spare_the_source(resnet):
    student, x = moved(resnet), torch.randn(6, 3, 16, 16)
    plain, cached = DELTA(resnet, LAYERS), DELTA(resnet, LAYERS, cache=FeatureCache(6))
    passes = []
    cached.source.get_submodule("conv1").register_forward_hook(lambda _m, i, _o: passes.append(len(i[0])))
    for rows in (torch.tensor([4, 0, 2]), torch.tensor([0, 1, 3]), torch.tensor([1, 2, 4])):
        batch = x[rows]
        assert cached(batch, student, rows).item() == plain(batch, student).item()
    assert passes == [3, 1, 3]  # between them, one image that tells where the channels are
    assert cached.cache_bytes(6, x) == 6 * 4 * (16 * 256 + 64 * 16)


def test_a_cache_that_is_too_large_is_refused_with_its_size(resnet):
    x, rows = torch.randn(2, 3, 16, 16), torch.tensor([0, 1])
    reg = DELTA(resnet, LAYERS, cache=FeatureCache(1000, limit=2**20))
    with pytest.raises(InputError, match="features of 1000 images take 20 MiB, the limit is 1 MiB"):
        reg(x, moved(resnet), rows)
    half = FeatureCache(1000, dtype=torch.float16)
    assert half.bytes(reg.features(x)) == 1000 * 2 * (16 * 256 + 64 * 16)
    with pytest.raises(InputError, match="image 9 is outside the cache of n = 4"):
        DELTA(resnet, LAYERS, cache=FeatureCache(4))(x, moved(resnet), torch.tensor([0, 9]))


def test_the_source_can_compute_in_bfloat16(resnet):
    x, student = torch.randn(2, 3, 16, 16), moved(resnet)
    exact, rough = DELTA(resnet, LAYERS)(x, student), DELTA(resnet, LAYERS, source_dtype=torch.bfloat16)(x, student)
    assert rough.item() == pytest.approx(exact.item(), rel=0.05) and rough.dtype == torch.float32


def test_names_and_shapes_that_do_not_fit_are_one_sentence(resnet):
    x = torch.randn(2, 3, 16, 16)
    with pytest.raises(InputError, match=r"no layer 'layer1\.0\.conv9'; near it are layer1\.0\.conv"):
        DELTA(resnet, ["layer1.0.conv9"])
    with pytest.raises(InputError, match="each once"):
        DELTA(resnet, [])
    wide = nn.Sequential()
    wide.add_module("layer1", nn.Sequential(nn.Sequential()))
    student = copy.deepcopy(resnet)
    student.layer3[0].conv2 = nn.Conv2d(64, 32, 3, padding=1)
    student.layer3[0].bn2 = nn.Identity()
    student.layer3[0].grow = 0
    student.layer3[0].forward = student.layer3[0].conv1.forward
    with pytest.raises(InputError, match="does not reach all of the layers"):
        DELTA(resnet, LAYERS)(x, student)
    with pytest.raises(InputError, match="model \\(2, 3\\), source \\(2, 4\\)"):
        feature_distance(torch.zeros(2, 3), torch.zeros(2, 4))
    with pytest.raises(InputError, match="attention has 1 layers, 2 are named"):
        DELTA(resnet, LAYERS, Attention((torch.ones(16),)))
    with pytest.raises(InputError, match="alpha"):
        DELTA(resnet, LAYERS, alpha=-1)


@pytest.mark.gpu
def test_on_a_gpu(resnet, device):
    student, x = moved(resnet).to(device), torch.randn(4, 3, 16, 16, device=device)
    value = DELTA(resnet.to(device), LAYERS, attention(resnet))(x, student)
    assert value.device.type == device and torch.isfinite(value)


@pytest.mark.parametrize("wrong", [{"reduction": "batchmean"}, {"student_bn": "Eval"}, {"alpha": float("nan")}])
def test_a_choice_that_means_nothing_is_refused(resnet, wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        DELTA(resnet, LAYERS, **wrong)


def test_attention_to_the_same_layers_in_another_order_is_refused(resnet):
    with pytest.raises(InputError, match="in this order"):
        DELTA(resnet, LAYERS[::-1], attention(resnet))
    assert DELTA(resnet, LAYERS, attention(resnet)).layers == LAYERS == DELTA(resnet, None, attention(resnet)).layers
