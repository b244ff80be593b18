"""The loops of others: two processes of DistributedDataParallel, Lightning, and the Hugging Face Trainer."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import distributed as dist
from torch import nn
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel

import msgd

N = 64
LAW = msgd.match(msgd.MiniBatchFisher(N, 16), 2)


def data():
    g = torch.Generator().manual_seed(1)
    return torch.randn(N, 4, generator=g), torch.randint(3, (N,), generator=g)


def network():
    torch.manual_seed(0)
    return nn.Linear(4, 3)


def worker(file, out, rank):
    """Gradients of many noisy steps of 8 rows a process at the same weights, and the meter's two averages."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{file}", rank=rank, world_size=2)
    try:
        (x, y), inner = data(), network()
        model, noisy_mean = DistributedDataParallel(inner), msgd.NoisyMean(LAW, seed=1)
        meter = msgd.NoiseScale(inner.parameters(), decay=0.998, every=1, n=N)
        g, found = torch.Generator().manual_seed(2), []
        for _ in range(300):
            model.zero_grad()
            rows = torch.randperm(N, generator=g)[:16].chunk(2)[rank]
            noisy_mean(cross_entropy(model(x[rows]), y[rows], reduction="none")).backward()
            meter.step(16, LAW.fisher, LAW.centred)
            found.append(torch.cat([p.grad.flatten() for p in inner.parameters()]))
        torch.save((torch.stack(found), meter.values), f"{out}.{rank}")
        dist.barrier()  # one that leaves while the other still talks may abort at its end
    finally:
        dist.destroy_process_group()


@pytest.mark.skipif(not dist.is_available() or not dist.is_gloo_available(), reason="needs gloo")
def test_two_processes_make_the_noise_of_the_law_and_measure_its_scale(tmp_path):
    """300 steps: the trace of the gradient's covariance is p tr F + q tr C within 4.5 standard errors (15 %)."""
    code = "import sys; sys.path.insert(0, sys.argv[1]); import test_loops as t; t.worker(*sys.argv[2:4], int(sys.argv[4]))"
    here, file, out = Path(__file__).parent, tmp_path / "meet", tmp_path / "out"
    ranks = [subprocess.Popen([sys.executable, "-c", code, here, file, out, str(r)]) for r in range(2)]
    try:
        assert [p.wait(300) for p in ranks] == [0, 0]
    finally:
        for p in ranks:
            p.kill()  # one whose partner is gone waits for it
    (found, meter), (other, _) = (torch.load(f"{out}.{r}", weights_only=True) for r in range(2))
    torch.testing.assert_close(found, other)
    x, y = data()
    matrix = msgd.GradientMatrix(network(), lambda o, t: cross_entropy(o, t, reduction="none"), x, y)
    asked = LAW.fisher * matrix.trace("F") + LAW.centred * matrix.trace("C")
    assert float(found.var(0).sum()) == pytest.approx(asked, rel=0.15)
    scale = matrix.trace("C") * N / (N - 1) / float(matrix.gradient().square().sum())
    assert meter["low"] <= scale <= meter["high"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of Lightning about its own calls of torch, and about the loader
def test_lightning_trains_with_noise_and_resumes_its_stream(tmp_path):
    """By epochs: with max_steps alone Lightning itself, once resumed, feeds the first batch of an epoch twice."""
    lightning = pytest.importorskip("lightning")

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.net, self.noisy_mean, self.seen = network(), msgd.NoisyMean(LAW, seed=3), []

        def training_step(self, batch, _):
            loss = self.noisy_mean(cross_entropy(self.net(batch[0]), batch[1], reduction="none"))
            self.seen.append(loss.item())
            return loss

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), 0.1)

    def trainer(epochs):
        quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
        return lightning.Trainer(max_epochs=epochs, accelerator="cpu", enable_model_summary=False, **quiet)

    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(*data()), 16)
    whole, half, rest = Module(), Module(), Module()
    trainer(2).fit(whole, loader)
    first = trainer(1)
    first.fit(half, loader)
    first.save_checkpoint(tmp_path / "c.ckpt")
    trainer(2).fit(rest, loader, ckpt_path=tmp_path / "c.ckpt", weights_only=False)
    assert half.seen + rest.seen == pytest.approx(whole.seen)
    assert len(set(whole.seen)) == 8


@pytest.mark.slow
def test_the_hugging_face_trainer_accumulates_the_plain_gradient_where_the_noise_is_zero(tmp_path):
    transformers = pytest.importorskip("transformers")

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = network()

        def forward(self, x, labels=None):
            return {"logits": self.net(x)}

    x, y = data()
    rows = [{"x": a, "labels": b} for a, b in zip(x, y, strict=True)]
    law = msgd.MiniBatchFisher(N, 32, std=0.0)

    def train(noisy_mean):
        def loss(outputs, labels, num_items_in_batch=None):
            return noisy_mean(cross_entropy(outputs["logits"], labels, reduction="none"), total=num_items_in_batch)

        model = Model()
        arguments = transformers.TrainingArguments(
            str(tmp_path), per_device_train_batch_size=8, gradient_accumulation_steps=4, max_steps=2, learning_rate=0.1,
            optim="sgd", lr_scheduler_type="constant", report_to=[], disable_tqdm=True, use_cpu=True, save_strategy="no",
            max_grad_norm=0.0, train_sampling_strategy="sequential", logging_strategy="no",
        )  # fmt: skip
        transformers.Trainer(model, arguments, train_dataset=rows, compute_loss_func=loss).train()
        return model.net.weight.detach()

    plain = network()
    for part in (slice(0, 32), slice(32, 64)):
        plain.zero_grad()
        cross_entropy(plain(x[part]), y[part]).backward()
        with torch.no_grad():
            for p in plain.parameters():
                p -= 0.1 * p.grad
    torch.testing.assert_close(train(msgd.NoisyMean(law, accumulate=4)), plain.weight.detach())
