"""One decoder's weights for all candidates: trained with a random candidate at each step, then every one is a part of it.

Operators that a bit switches on share their weights wherever they are on. What a bit replaces has weights of its own: 3x3
and 1x1 convolutions, and those of a skip with and without instance norm.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from torch.func import functional_call

from claimkit import run
from claimkit.errors import InputError
from claimkit.files import atomic_path
from claimkit.style.encoders import LevelEncoder
from photonet.network.architecture import Architecture
from photonet.network.auto_encoder import Decoder
from photonet.network.cost import layers
from photonet.training.closed_form import start_decoder
from photonet.training.decoders import reconstruction_losses
from stylenas.style.candidate import LEVEL, PUBLISHED, Candidate, CandidateDecoder

IMAGE_WEIGHT, FEATURE_WEIGHT = 10.0, 0.5
JOINS = {"conv17": 4, "conv21": 3, "conv25": 2, "conv27": 1}  # the level whose skip may join
ALL = Architecture("1" * 32)
PLAIN = Architecture.of(n for n in PUBLISHED if n not in ("in1", "in2", "in3", "in4", "conv19", "conv23"))


class Supernet(nn.Module):
    """Weights of every choice of every operator, for one encoder.

    Args:
        encoder: Gives five levels; stays as it is.
    """

    def __init__(self, encoder: LevelEncoder):
        super().__init__()
        self.encoder = encoder
        self.weights = nn.ParameterDict()
        c = encoder.channels
        for start, depth in LEVEL.items():
            self._add(f"pyramid{start}", (c[min(depth, 4) - 1], sum(c[:depth]), 1, 1))
        for a in (ALL, PLAIN):
            for x in layers(a, c):
                if x.name in JOINS:
                    joined = c[JOINS[x.name] - 1]
                    self._add(x.name, (x.outputs, x.inputs - joined, 3, 3))
                    self._add(_skip(x.name, a), (x.outputs, joined, 3, 3))
                elif x.name != "pyramid":
                    self._add(f"{x.name}_{x.kernel}", (x.outputs, x.inputs, x.kernel, x.kernel))

    def _add(self, name: str, shape: tuple[int, ...]) -> None:
        if f"{name}_weight" not in self.weights:
            weight = torch.empty(shape)
            nn.init.kaiming_normal_(weight, nonlinearity="relu")
            self.weights[f"{name}_weight"] = nn.Parameter(weight)
            self.weights[f"{name}_bias"] = nn.Parameter(torch.zeros(shape[0]))

    def select(self, candidate: Candidate) -> dict[str, Tensor]:
        """State of the candidate's decoder; views, through which gradients flow back."""
        w, a, c = self.weights, candidate.architecture, self.encoder.channels
        state: dict[str, Tensor] = {}
        for x in candidate.layers(c):
            if x.name == "pyramid":
                parts = torch.split(w[f"pyramid{candidate.start}_weight"], list(c[: candidate.depth][::-1]), 1)
                used = (candidate.depth, *candidate.aggregated)
                weight, bias = torch.cat([parts[candidate.depth - k] for k in used], 1), w[f"pyramid{candidate.start}_bias"]
            elif x.name not in JOINS:
                weight, bias = w[f"{x.name}_{x.kernel}_weight"], w[f"{x.name}_{x.kernel}_bias"]
            elif JOINS[x.name] in a.skips:
                skip = _skip(x.name, a)
                weight, bias = torch.cat([w[f"{x.name}_weight"], w[f"{skip}_weight"]], 1), w[f"{skip}_bias"]
            else:
                weight, bias = w[f"{x.name}_weight"], w[f"{x.name}_bias"]
            state |= {f"{x.name}.weight": weight, f"{x.name}.bias": bias}
        return state

    @torch.no_grad()
    def start(self, images: Tensor) -> None:
        """Fit two decoders in closed form, which have between them nearly every choice, and take their weights apart.

        Skips come out of it for a decoder that has them; the weights without them start from the same.
        """
        c = self.encoder.channels
        for a in (PLAIN, ALL):
            decoder = Decoder(a, c)
            start_decoder(self.encoder, decoder, images)
            for x in decoder.layers:
                layer = decoder.get_submodule(x.name)
                weight, bias = (t.detach() for t in layer.parameters())
                if x.name == "pyramid":
                    self._put("pyramid1", weight, bias)
                elif x.name in JOINS:
                    main = x.inputs - c[JOINS[x.name] - 1]
                    self._put(x.name, weight[:, :main], bias)
                    self._put(_skip(x.name, a), weight[:, main:], bias)
                else:
                    self._put(f"{x.name}_{x.kernel}", weight, bias)

    def _put(self, name: str, weight: Tensor, bias: Tensor) -> None:
        self.weights[f"{name}_weight"].copy_(weight)
        self.weights[f"{name}_bias"].copy_(bias)

    def train_on(self, crops: Tensor, steps: int, batch: int, rate: float, extended: bool, seed: int = 0) -> list[float]:
        """The C-step (1912.02398) of two random candidates a step; returns the loss of every step.

        Args:
            crops: Photographs to draw from, ``(n, 3, h, w)`` in [0, 1]; their features are computed once.
            steps: Steps of Adam, whose rate falls to zero along a cosine.
            batch: Crops a step.
            rate: Learning rate.
            extended: Whether shallow encoders are among the candidates.
            seed: Of crops and candidates.
        """
        with torch.no_grad():
            levels = self.encoder(crops)
        optimizer = torch.optim.Adam(self.weights.parameters(), rate, betas=(0.5, 0.9))
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        rng, losses = torch.Generator().manual_seed(seed), []
        for _ in run.progress(range(steps), "supernet", unit="step"):
            rows = torch.randint(len(crops), (batch,), generator=rng)
            total = torch.zeros(())
            for candidate in (random_candidate(rng, extended), random_candidate(rng, extended)):
                decoder, state = CandidateDecoder(candidate, self.encoder.channels), self.select(candidate)
                total = total + c_step_loss(self.encoder, _With(decoder, state), crops[rows], [x[rows] for x in levels])
            optimizer.zero_grad()
            total.backward()
            optimizer.step()
            schedule.step()
            losses.append(float(total.detach()) / 2)
        return losses

    def save(self, path: Path, about: dict[str, str]) -> None:
        """Write a safetensors file in half precision, atomically."""
        from safetensors.torch import save_file

        with atomic_path(path) as temporary:
            halves = {k: t.detach().half().contiguous() for k, t in self.weights.items()}
            save_file(halves, temporary, {"stylenas": json.dumps(about)})

    def load(self, path: Path) -> dict[str, str]:
        """Read what :meth:`save` wrote, and return what it says about itself.

        Raises:
            InputError: It is no such file, or one for another encoder.
        """
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, "pt") as f:
                about = json.loads((f.metadata() or {})["stylenas"])
                self.weights.load_state_dict({k: f.get_tensor(k).float() for k in f.keys()})  # noqa: SIM118 - no dictionary
        except (OSError, SafetensorError, KeyError, ValueError, RuntimeError) as e:
            raise InputError(f"{path} holds no supernet for this encoder: remove it, and it is trained again") from e
        return about


class _With(nn.Module):
    """A decoder that computes with weights that are not its own."""

    def __init__(self, decoder: CandidateDecoder, state: dict[str, Tensor]):
        super().__init__()
        self.decoder, self.state = [decoder], state  # in a list: its parameters are not this module's

    def forward(self, levels: dict[int, Tensor]) -> Tensor:
        return functional_call(self.decoder[0], self.state, (levels,))


def c_step_loss(encoder: LevelEncoder, decoder: nn.Module, images: Tensor, levels: Sequence[Tensor]) -> Tensor:
    """What decoders are trained on: the error of the picture and of its features (1912.02398, C-step).

    The paper weighs both 1/2 on VGG's features. Those of the slim encoder have variance one, the picture a twentieth.

    Args:
        encoder: E.
        decoder: D, of levels.
        images: x, ``(batch, 3, height, width)`` in [0, 1].
        levels: E(x).
    """
    picture, features = reconstruction_losses(encoder, cast(Decoder, decoder), images, levels)
    return IMAGE_WEIGHT * picture + FEATURE_WEIGHT * features


def random_candidate(rng: torch.Generator, extended: bool) -> Candidate:
    """A candidate with a random share of operators, so that sparse and dense ones are trained alike."""
    share = 0.1 + 0.8 * torch.rand((), generator=rng)
    genome = "".join("01"[int(b)] for b in torch.rand(len(PUBLISHED), generator=rng) < share)
    depth = int(torch.randint(3, (), generator=rng)) if extended else 0
    return Candidate.of(genome + ("00", "10", "01")[depth] + "0")


def narrow_encoder(encoder: LevelEncoder, images: Tensor) -> LevelEncoder:
    """An encoder with half of the channels, fitted in closed form to the one that is given."""
    from claimkit.training.closed_form import start_encoder

    small = LevelEncoder([c // 2 for c in encoder.channels], encoder.convolutions[:-1])
    with torch.no_grad():
        start_encoder(small, images, {n: torch.relu(y) for n, y in encoder.activations(images)})
    return small.eval().requires_grad_(False)


def _skip(name: str, architecture: Architecture) -> str:
    """Which of the two skip weights: with or without instance norm."""
    return f"{name}_{'norm' if f'in{JOINS[name]}' in architecture else 'raw'}"
