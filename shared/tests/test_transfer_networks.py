"""Networks by name, weights from files, heads."""

import subprocess
import sys

import pytest
import torch
from torch import nn

from claimkit.errors import InputError
from claimkit.transfer.networks import create, head_name, load_weights, reinitialise, replace_head


def test_claimkit_itself_does_not_import_torch():
    code = "import claimkit.claims, claimkit.runner, claimkit.cli, sys; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("arch", "shape", "head"),
    [
        ("small-cnn", (2, 1, 8, 8), "fc"),
        ("cifar-resnet20", (2, 3, 32, 32), "linear"),
        ("resnet18", (2, 3, 64, 64), "fc"),
        ("squeezenet1_1", (2, 3, 64, 64), "classifier.1"),
        ("mobilenet_v2", (2, 3, 64, 64), "classifier.1"),
    ],
)
def test_heads_are_found_and_replaced(arch, shape, head):
    model = replace_head(create(arch), 7, seed=3).eval()
    assert head_name(model) == head
    assert model(torch.randn(shape)).shape == (2, 7)
    again = replace_head(create(arch), 7, seed=3)
    assert torch.equal(model.get_submodule(head).weight, again.get_submodule(head).weight)


def test_cifar_resnet20_is_the_network_of_the_paper():
    model = create("cifar-resnet20")
    assert sum(p.numel() for p in model.parameters()) == 269_722  # 0.27 M in its table 6
    assert sum(isinstance(m, nn.Conv2d | nn.Linear) for m in model.modules()) == 20


@pytest.mark.slow
def test_inception_gives_logits_in_training_too():
    model = create("inception_v3").train()
    assert model(torch.randn(2, 3, 96, 96)).shape == (2, 1000)


def test_weights_come_back_from_a_file_with_their_head(tmp_path):
    saved = replace_head(create("small-cnn"), 4)
    torch.save({"state_dict": {f"module.{k}": v for k, v in saved.state_dict().items()}}, tmp_path / "w.pt")
    loaded = create("small-cnn", tmp_path / "w.pt")
    assert all(torch.equal(a, b) for a, b in zip(saved.state_dict().values(), loaded.state_dict().values(), strict=True))


def test_foreign_weights_are_refused_in_one_sentence(tmp_path):
    torch.save(create("small-cnn").state_dict(), tmp_path / "small.pt")
    with pytest.raises(
        InputError, match=r"another network: \d+ missing keys \('layer1\.0\.bn1\.bias'\) and \d+ foreign keys"
    ):
        create("cifar-resnet20", tmp_path / "small.pt")
    state = create("small-cnn").state_dict()
    state["conv1.weight"] = torch.zeros(16, 3, 3, 3)
    torch.save(state, tmp_path / "shape.pt")
    with pytest.raises(InputError, match=r"conv1\.weight has shape \(16, 3, 3, 3\), the network expects \(16, 1, 3, 3\)"):
        create("small-cnn", tmp_path / "shape.pt")
    (tmp_path / "text.pt").write_text("no weights")
    with pytest.raises(InputError, match="not a file of tensors"):
        load_weights(create("small-cnn"), tmp_path / "text.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(InputError, match="does not hold names and tensors"):
        load_weights(create("small-cnn"), tmp_path / "list.pt")


def test_names_that_are_not_known_are_answered_with_near_ones():
    with pytest.raises(InputError, match="'resnet51'; near it are resnet"):
        create("resnet51")
    with pytest.raises(InputError, match="IMAGENET1K_V1, IMAGENET1K_V2"):
        create("resnet50", "IMAGENET1K_V3")
    with pytest.raises(InputError, match="6 n"):
        create("cifar-resnet21")
    with pytest.raises(InputError, match="no head"):
        head_name(nn.ReLU())


def test_reinitialising_is_a_function_of_the_seed_and_leaves_the_global_stream_alone():
    a, b, c = (reinitialise(create("small-cnn"), seed).get_submodule("conv1").weight for seed in (1, 1, 2))
    layer = nn.Linear(3, 3)
    before = torch.get_rng_state()
    reinitialise(layer, 5)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(a, b) and not torch.equal(a, c)
