"""Attention: removing channels fast and slowly, the probe that freezes, the weights, the files."""

import copy
import json
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from claimkit.errors import InputError
from claimkit.transfer.data import Images, View
from claimkit.transfer.networks import create
from delta import Attention, channel_attention, layers_for
from delta.ablation import ablate, ablate_naive
from delta.probe import Batches, fit_head

finite = st.floats(-1e3, 1e3, allow_subnormal=False)


def batch(classes=10, size=16, n=4):
    return torch.randn(n, 3, size, size), torch.randint(classes, (n,))


@pytest.mark.parametrize("stack_bytes", [1, 2**16, None])
def test_removing_channels_equals_setting_filters_to_zero(resnet, stack_bytes):
    x, y = batch()
    layers = ("layer1.0.conv2", "layer2.0.conv1", "layer3.0.conv2", "linear")
    before = copy.deepcopy(resnet.state_dict())
    fast, naive = ablate(resnet, layers, x, y, stack_bytes), ablate_naive(resnet, layers, x, y)
    for a, b in zip(fast, naive, strict=True):
        assert b.abs().max() > 1e-4
        assert torch.allclose(a, b, rtol=0, atol=1e-5)
    assert all(torch.equal(v, before[k]) for k, v in resnet.state_dict().items())
    assert not any(m._forward_hooks or "forward" in m.__dict__ for m in resnet.modules())


class Branches(nn.Module):
    """Adds, outside any module, what one layer gave to what another gave, and keeps one of them for later."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c, self.fc = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1), nn.Linear(4, 10)

    def forward(self, x):
        a = self.a(x)
        x = a * self.b(x)
        return self.fc((self.c(torch.relu(x)) + a).mean((2, 3)))


def test_operations_between_modules_on_held_and_passing_outputs():
    model, (x, y) = Branches().eval(), batch()
    for a, b in zip(ablate(model, ("a", "b", "c"), x, y), ablate_naive(model, ("a", "b", "c"), x, y), strict=True):
        assert torch.allclose(a, b, rtol=0, atol=1e-6)


def test_shared_modules_biases_and_operations_in_place(inplace):
    x, y = batch(4, 8)
    for a, b in zip(ablate(inplace, ("0", "3"), x, y), ablate_naive(inplace, ("0", "3"), x, y), strict=True):
        assert torch.allclose(a, b, rtol=0, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("arch", ["resnet18", "squeezenet1_1", "mobilenet_v2", "densenet121", "googlenet"])
def test_removing_channels_in_networks_of_torchvision(arch):
    model, (x, y) = create(arch).eval(), batch(size=64, n=2)
    layer = layers_for(model, x)[-1:]
    small = model.get_submodule(layer[0])
    fast = ablate(model, layer, x, y)[0]
    for j in (0, len(fast) // 2, len(fast) - 1):
        one = copy.deepcopy(model)
        with torch.no_grad():
            one.get_submodule(layer[0]).weight[j] = 0
            gap = nn.functional.cross_entropy(one(x), y) - nn.functional.cross_entropy(model(x), y)
        assert fast[j].item() == pytest.approx(gap.item(), abs=1e-5)
    assert len(fast) == len(small.weight)


def test_a_channel_of_a_block_without_weights_is_set_to_zero(resnet):
    x, y = batch()
    gap = ablate(resnet, ["layer3"], x, y)[0]
    resnet.layer3.register_forward_hook(lambda m, i, o: o * (torch.arange(64) != 5)[:, None, None])
    assert gap[5].item() == pytest.approx(
        (nn.functional.cross_entropy(resnet(x), y) - ablate_loss(resnet, x, y)).item(), abs=1e-6
    )


def ablate_loss(model, x, y):
    clean = copy.deepcopy(model)
    clean.layer3._forward_hooks.clear()
    return nn.functional.cross_entropy(clean(x), y)


def test_frozen_means_that_no_tensor_but_the_head_moves(resnet):
    before = {k: v.clone() for k, v in resnet.named_parameters()}
    x, y = batch()
    model = fit_head(resnet, [(x, y)], epochs=3, classes=10)
    moved = [k for k, v in model.named_parameters() if not torch.equal(v, before[k])]
    assert moved == ["linear.weight", "linear.bias"]
    assert not any(p.requires_grad for p in model.parameters())


def test_the_probe_learns(inplace):
    y = torch.arange(8) % 2
    x = torch.randn(8, 3, 8, 8) + 3 * y[:, None, None, None]
    model = fit_head(inplace, [(x, y)] * 20, epochs=5, learning_rate=0.5).eval()
    assert (model(x).argmax(1) == y).all()


def test_attention_leaves_the_network_alone_and_is_a_function_of_its_seed(resnet):
    data = [batch() for _ in range(2)]
    before = copy.deepcopy(resnet.state_dict())
    one, two = (channel_attention(resnet, data, probe_epochs=1, classes=10) for _ in range(2))
    assert one.layers == ("layer1.0.conv2", "layer2.0.conv2", "layer3.0.conv2")
    assert [len(g) for g in one.gaps] == [16, 32, 64]
    assert all(map(torch.equal, one.gaps, two.gaps))
    assert all(torch.equal(v, before[k]) for k, v in resnet.state_dict().items())


def test_only_the_first_batches_count_and_their_gaps_are_averaged(resnet):
    data = [batch() for _ in range(3)]
    two = channel_attention(resnet, data, ["layer3.0.conv2"], max_batches=2, head="given")
    each = [ablate(resnet, ["layer3.0.conv2"], *b)[0] for b in data[:2]]
    assert torch.allclose(two.gaps[0], (each[0] + each[1]) / 2)


@given(st.lists(finite, min_size=1, max_size=50), st.floats(0.1, 10))
def test_weights_are_positive_of_mean_one_and_follow_the_gaps(gaps, temperature):
    a = Attention((torch.tensor(gaps),), temperature=temperature)
    w = a.weights()[0]
    assert w.mean().item() == pytest.approx(1, abs=1e-5) and (w >= 0).all()
    order = torch.tensor(gaps).argsort()
    assert (w[order].diff() >= -1e-6).all()


def test_weights_of_the_released_code_by_hand():
    gaps = torch.tensor([0.0, 0.0, 3.0])
    z = torch.tensor([-1.0, -1.0, 2.0]) / 2**0.5
    assert torch.allclose(Attention((gaps,)).weights()[0], 3 * torch.softmax(z / 5, 0))
    raw = Attention((gaps,), temperature=1.0, standardize=False)
    assert torch.allclose(raw.weights()[0], 3 * torch.softmax(gaps, 0))
    assert Attention((torch.full((4,), 0.1),)).weights()[0].tolist() == [1.0] * 4


def test_json_of_the_released_layout_comes_back(tmp_path):
    a = Attention((torch.randn(256), torch.randn(512)), ("layer1.2.conv3", "layer2.3.conv3"))
    a.to_json(tmp_path / "gaps.json")
    read = json.loads((tmp_path / "gaps.json").read_text())
    assert [len(r) for r in read] == [256, 512] and isinstance(read[0][0], float)
    again = Attention.from_json(tmp_path / "gaps.json", a.layers)
    assert all(map(torch.equal, a.gaps, again.gaps)) and again.layers == a.layers


@pytest.mark.parametrize("text", ["nonsense", "[]", "{}", "[1, 2]", "[[1], []]", '[["a"]]', "[[NaN]]", "null"])
def test_files_that_hold_no_attention_are_refused(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(InputError, match=r"attention"):
        Attention.from_json(tmp_path / "a.json")


def test_no_batches_and_impossible_settings_are_refused(resnet):
    with pytest.raises(InputError, match="no batch"):
        channel_attention(resnet, [])
    with pytest.raises(InputError, match="no batch to fit"):
        channel_attention(resnet, [], head="given")
    with pytest.raises(InputError, match="temperature"):
        Attention((torch.ones(2),), temperature=0)
    with pytest.raises(InputError, match="2 layers are named for 1"):
        Attention((torch.ones(2),), ("a", "b"))
    with pytest.raises(InputError, match="no layer 'nowhere'"):
        ablate(resnet, ["nowhere"], *batch())


class Said(nn.Module):
    """A network that gives its logits as ``form`` does, the way of other libraries."""

    def __init__(self, network, form):
        super().__init__()
        self.network, self.form = network, form

    def forward(self, x):
        return self.form(self.network(x))


@pytest.mark.parametrize("form", [lambda z: SimpleNamespace(logits=z, hidden=None), lambda z: {"logits": z}])
def test_logits_within_an_output_are_found(resnet, form):
    batches = [batch(5)]
    plain = channel_attention(resnet, batches, ["layer3.0.conv2"], probe_epochs=1)
    said = channel_attention(Said(resnet, form), batches, ["network.layer3.0.conv2"], probe_epochs=1)
    assert torch.allclose(said.gaps[0], plain.gaps[0], atol=1e-6) and plain.gaps[0].abs().max() > 1e-4


def test_a_tuple_for_logits_and_a_dict_for_a_batch_are_refused(resnet):
    x, y = batch(5)
    with pytest.raises(InputError, match=r"Said gives a tuple: expected logits \(batch, class\)"):
        channel_attention(Said(resnet, lambda z: (z, z)), [(x, y)], ["network.layer3.0.conv2"])
    for bad in ({"pixel_values": x, "labels": y}, (x, y, y), (x, y.tolist())):
        with pytest.raises(InputError, match=r"a batch is a (dict|tuple): expected a pair of tensors \(x, labels\)"):
            channel_attention(resnet, [bad], ["layer3.0.conv2"])


def test_batches_are_shuffled_anew_and_fixed_by_their_seed():
    images = Images(torch.arange(10.0).reshape(10, 1, 1, 1), torch.arange(10) % 2, ("a", "b"))
    view = View(1, flip=False, mean=(0,), std=(1,))
    one, two = (Batches(images, view, 4, seed=1) for _ in range(2))
    epochs = [[x.flatten().tolist() for x, _ in one] for _ in range(2)]
    assert [len(e) for e in epochs] == [2, 2] and epochs[0] != epochs[1]
    assert epochs[0] == [x.flatten().tolist() for x, _ in two]
