"""Data, models, and a training run that can be interrupted."""

import gzip
import struct

import numpy as np
import pytest
import torch

import msgd
from claimkit.errors import InputError
from msgd.train import data as data_module
from msgd.train.data import load
from msgd.train.models import make_model
from msgd.train.training import Trainer, Training


def criterion(outputs, targets):
    return torch.nn.functional.cross_entropy(outputs, targets, reduction="none")


def trainer(noise=None, **options):
    data = load("digits", rows=100)
    settings = Training(**{"steps": 30, "learning_rate": 0.1, "evaluate_every": 10, **options})
    return Trainer(make_model("auto", (1, 8, 8), 10), data, noise or msgd.match(msgd.MiniBatchFisher(100, 40), 10), settings)


def parameters(t):
    return torch.cat([p.detach().flatten() for p in t.model.parameters()])


def finish(t):
    for _ in t.run():
        pass
    return t


def test_a_resumed_run_ends_where_the_whole_run_ends(tmp_path):
    whole = finish(trainer(momentum=0.9, decay_at=(15,)))
    first = trainer(momentum=0.9, decay_at=(15,))
    run = first.run()
    for _ in range(13):
        next(run)
    first.save(tmp_path / "c.pt")
    second = trainer(momentum=0.9, decay_at=(15,))
    second.load(tmp_path / "c.pt")
    finish(second)
    torch.testing.assert_close(parameters(second), parameters(whole), rtol=0, atol=0)
    assert second.log == whole.log
    assert [r.step for r in whole.log] == [0, 10, 20, 30]
    assert whole.log[-1].train_loss < whole.log[0].train_loss


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    trainer().save(tmp_path / "c.pt")
    others = [trainer(learning_rate=0.2), trainer(weight_decay=0.1), trainer(seed=1), trainer(), trainer()]
    others[-1].data.test_x[0, 0, 0, 0] += 0.5  # another split of as many rows
    others[-2].model[2] = torch.nn.Tanh()
    for other in others:
        with pytest.raises(InputError, match="of another run"):
            other.load(tmp_path / "c.pt")
    (tmp_path / "bad.pt").write_bytes(b"no checkpoint")
    with pytest.raises(InputError, match="not a checkpoint"):
        trainer().load(tmp_path / "bad.pt")


def test_a_step_is_that_of_the_optimiser_written_out():
    """Momentum, weight decay without noise and the rate's fall to a tenth, against the rule by hand."""
    t = trainer(msgd.GradientDescent(100), momentum=0.9, weight_decay=0.01, decay_at=(2,))
    theta, velocity, rate = parameters(t), 0.0, 0.1
    for step in range(4):
        losses = torch.nn.functional.cross_entropy(t.model(t.data.train_x), t.data.train_y)
        g = torch.cat([x.flatten() for x in torch.autograd.grad(losses, list(t.model.parameters()))])
        velocity = 0.9 * velocity + g + 0.01 * theta
        theta = theta - (rate if step < 2 else rate / 10) * velocity
        t.advance()
        torch.testing.assert_close(parameters(t), theta, rtol=1e-4, atol=1e-6)


def test_the_noise_scale_is_measured_along_and_goes_on_after_a_resume(tmp_path):
    """Plain and noisy batches at one point (rate 1e-9), 60 measurements each, against the explicit value of 100 rows."""
    quiet = {"steps": 120, "learning_rate": 1e-9, "noise_scale": 2}
    for law in (msgd.MiniBatch(100, 40), msgd.GaussianCov(100)):
        first, second = trainer(law, **quiet), trainer(law, **quiet)
        explicit = msgd.GradientMatrix(first.model, criterion, first.data.train_x, first.data.train_y)
        for _ in range(60):
            first.advance()
        first.save(tmp_path / "c.pt")
        second.load(tmp_path / "c.pt")
        for _ in range(60):
            second.advance()
        assert second.meter.steps == 120
        assert second.meter.trace == pytest.approx(explicit.trace() * 100 / 99, rel=0.15)
        low, high = second.meter.interval
        assert low <= explicit.trace() / float(explicit.gradient().square().sum()) <= high < 10 * low


def test_the_papers_split_keeps_the_rows_that_it_says(monkeypatch):
    """A thousand of the test file and sixty thousand of the training file, of more."""
    from torchvision import datasets

    def files(root, train):
        rows = 60_100 if train else 1_100
        data = torch.full((rows, 1, 1), 7 if train else 3, dtype=torch.uint8)
        return type("Files", (), {"data": data, "targets": torch.zeros(rows, dtype=torch.long)})

    monkeypatch.setattr(datasets, "FashionMNIST", files)
    data = data_module._read("fashion-mnist", None, True)
    assert data.train_x.shape == (1_000, 1, 1, 1) and data.test_x.shape == (60_000, 1, 1, 1)
    assert data.train_x.unique() == 3 and data.test_x.unique() == 7


def test_ghost_batches_change_nothing_without_batchnorm():
    torch.testing.assert_close(parameters(finish(trainer())), parameters(finish(trainer(ghost=7))), rtol=1e-3, atol=1e-5)


def test_a_draw_without_rows_is_a_step_without_gradient():
    t = trainer(msgd.Bernoulli(100, 1e-9), momentum=0.9)
    before = parameters(t)
    t.advance()
    torch.testing.assert_close(parameters(t), before, rtol=0, atol=0)


def test_divergence_is_told():
    with pytest.raises(InputError, match="lower the learning rate"):
        finish(trainer(learning_rate=1e30))


@pytest.mark.parametrize(
    "bad", [{"steps": 0}, {"learning_rate": -1.0}, {"momentum": 1.0}, {"ghost": 0}, {"learning_rate": float("nan")}]
)
def test_numbers_that_cannot_train_are_refused(bad):
    with pytest.raises(InputError, match="expected"):
        trainer(**bad)


def test_noise_for_another_number_of_samples_is_refused():
    with pytest.raises(InputError, match="n = 50 samples, the training set has 100"):
        trainer(msgd.GaussianFisher(50))


def idx(path, values, packed=False):
    """Write an array in the format of the MNIST files."""
    content = struct.pack(">HBB", 0, 8, values.ndim) + struct.pack(f">{values.ndim}I", *values.shape) + values.tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    if packed:
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(content))
    else:
        path.write_bytes(content)


@pytest.fixture(params=[False, True], ids=["plain", "gzip"])
def fashion(request, tmp_path):
    rng = np.random.default_rng(0)
    for prefix, rows in (("train", 30), ("t10k", 20)):
        images = rng.integers(0, 256, (rows, 28, 28), dtype=np.uint8)
        labels = np.arange(rows, dtype=np.uint8) % 10
        idx(tmp_path / f"deep/FashionMNIST/raw/{prefix}-images-idx3-ubyte", images, request.param)
        idx(tmp_path / f"deep/FashionMNIST/raw/{prefix}-labels-idx1-ubyte", labels, request.param)
    return tmp_path


def test_fashion_mnist_is_read_and_the_papers_split_is_swapped(fashion):
    standard = load("fashion-mnist", fashion)
    assert standard.train_x.shape == (30, 1, 28, 28) and standard.test_x.shape == (20, 1, 28, 28)
    assert 0.9 < standard.train_x.max() <= 1
    paper = load("fashion-mnist", fashion, "paper", rows=10)
    assert paper.train_x.shape == (10, 1, 28, 28) and paper.test_x.shape == (30, 1, 28, 28)
    torch.testing.assert_close(paper.test_x, standard.train_x * 255)
    torch.testing.assert_close(paper.train_x, standard.test_x[:10] * 255)
    with pytest.raises(InputError, match="does not hold the file"):
        load("mnist", fashion)


def test_cifar10_and_svhn_folders_are_read(tmp_path, monkeypatch):
    """Files in the layout of the originals; torchvision's check of their digests is left out."""
    import pickle

    from scipy.io import savemat
    from torchvision.datasets import cifar, svhn

    monkeypatch.setattr(cifar, "check_integrity", lambda *_: True)
    monkeypatch.setattr(svhn, "check_integrity", lambda *_: True)
    rng = np.random.default_rng(0)
    batches = tmp_path / "cifar" / "cifar-10-batches-py"
    batches.mkdir(parents=True)
    for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"):
        part = {"data": rng.integers(0, 256, (4, 3072), dtype=np.uint8), "labels": [0, 1, 2, 9]}
        (batches / name).write_bytes(pickle.dumps(part))
    (batches / "batches.meta").write_bytes(pickle.dumps({"label_names": [str(i) for i in range(10)]}))
    data = load("cifar10", tmp_path)
    assert data.train_x.shape == (20, 3, 32, 32) and data.test_x.shape == (4, 3, 32, 32) and data.classes == 10
    folder = tmp_path / "svhn"
    folder.mkdir()
    for part, rows in (("train", 6), ("test", 5)):
        images = rng.integers(0, 256, (32, 32, 3, rows), dtype=np.uint8)
        savemat(folder / f"{part}_32x32.mat", {"X": images, "y": np.array([[10], *[[i] for i in range(1, rows)]])})
    standard, paper = load("svhn", tmp_path), load("svhn", tmp_path, "paper")
    assert standard.train_x.shape == (6, 3, 32, 32) and int(standard.train_y[0]) == 0, "class 10 is the digit 0"
    torch.testing.assert_close(paper.train_x, standard.test_x)
    torch.testing.assert_close(paper.test_x, standard.train_x)


def test_files_that_are_no_data_set_are_refused(fashion, tmp_path):
    for file in (fashion / "deep/FashionMNIST/raw").iterdir():
        file.write_bytes(b"\x00" * 10)
    with pytest.raises(InputError, match="does not hold a readable fashion-mnist"):
        load("fashion-mnist", fashion)
    with pytest.raises(InputError, match="is not a folder"):
        load("svhn", tmp_path / "none")
    with pytest.raises(InputError, match="with --data"):
        load("cifar10")
    with pytest.raises(InputError, match="digits come with the package"):
        load("digits", fashion)
    with pytest.raises(InputError, match="5000 training rows"):
        load("digits", rows=5000)


def test_the_folder_of_another_set_is_not_taken_for_the_one_asked_for(fashion, tmp_path):
    """MNIST, FashionMNIST and KMNIST have files of the same names and form: only folders tell them apart."""
    for folder in (fashion, fashion / "deep/FashionMNIST/raw"):
        with pytest.raises(InputError, match="of mnist"):
            load("mnist", folder)
    (tmp_path / "KMNIST").mkdir()
    (tmp_path / "KMNIST/raw").symlink_to(fashion / "deep/FashionMNIST/raw")
    assert load("fashion-mnist", tmp_path / "KMNIST/raw").name == "fashion-mnist", "where the link leads counts"
    (fashion / "deep/FashionMNIST").rename(fashion / "deep/KMNIST")
    for name in ("mnist", "fashion-mnist"):
        with pytest.raises(InputError, match=f"of {name}"):
            load(name, fashion / "deep/KMNIST/raw")


def test_the_networks_take_their_images_and_start_alike():
    assert sum(p.numel() for p in make_model("auto", (1, 28, 28), 10).parameters()) == 11_330
    for name, shape in (("mlp", (1, 8, 8)), ("conv-small", (1, 28, 28)), ("vgg11", (3, 32, 32)), ("resnet18", (3, 32, 32))):
        a, b = make_model(name, shape, 10, seed=1), make_model(name, shape, 10, seed=1)
        assert all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))
        a.eval()
        assert a(torch.zeros(2, *shape)).shape == (2, 10)
    with pytest.raises(InputError, match="does not take 32x32"):
        make_model("conv-small", (3, 32, 32), 10)
