"""The audiovisual network of arXiv 2001.09414: two backbones, two projections, one soft clustering, one distance.

Positions of picture and sound are projected to the same space and clustered; a sound is where its centre's nearest visual
cluster is: ``k*(j) = argmin_k |c^v_k - c^a_j|``, and its map is the soft assignment ``s^v_{k*(j)}``.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import interpolate, normalize

from avcurriculum.audio import MelSpec
from avcurriculum.network.backbones import Backbone, MobileNet, ResNet18, SmallCNN, YAMNet
from avcurriculum.network.cluster import EPS, Clusters, Init, SoftKMeans
from claimkit.errors import InputError


@dataclass(frozen=True)
class Architecture:
    """What an :class:`AVNet` is made of; stored with its weights.

    Attributes:
        backbone: small (random weights, stride 8), resnet18 (random, the reference's size), or pretrained (MobileNetV2 and
            YAMNet, frozen, weights by path).
        dim: Size of the common space.
        hidden: Width of a hidden layer of the projections; 0 is the reference's single linear map.
        widths: Channels of the small backbones.
        canvas: Side of the pictures.
        normalize: Scale projected positions to unit length; the reference does not.
        beta: Sharpness of the clustering.
        iters: Its iterations.
        init: Its start.
        background: Visual clusters beyond the number of sources; the reference has 1.
    """

    backbone: Backbone = "small"
    dim: int = 64
    hidden: int = 0
    widths: tuple[int, ...] = (16, 32, 64, 64)
    canvas: int = 64
    normalize: bool = True
    beta: float = 30.0
    iters: int = 4
    init: Init = "farthest"
    background: int = 2


class Localization(NamedTuple):
    """Where each sound is."""

    maps: Float[Tensor, "batch audio height width"]
    """In [0, 1], one an audio centre."""
    assign: Int[Tensor, "batch audio"]
    """Visual cluster of each audio centre."""
    dist: Float[Tensor, "batch audio"]
    """Distance to it."""

    @property
    def scene(self) -> Float[Tensor, "batch height width"]:
        """Map of all sounds: the largest of the maps."""
        return self.maps.amax(1)


class Projection(nn.Sequential):
    """Per-position map of channels to the common space; positions are standardised first."""

    def __init__(self, channels: int, dim: int, hidden: int = 0) -> None:
        layers: list[nn.Module] = [nn.LayerNorm(channels, elementwise_affine=False)]
        if hidden:
            layers += [nn.Linear(channels, hidden), nn.ReLU()]
        super().__init__(*layers, nn.Linear(hidden or channels, dim))


class AVNet(nn.Module):
    """Embeds, clusters, compares and localises.

    Args:
        architecture: Sizes and settings.
        visual: Backbone of pictures; ``nn.Identity()`` where its outputs are given in its place.
        audio: Backbone of log-mel features, likewise.
        channels: Channels of both.
        mel: Front end of the sound.
    """

    def __init__(
        self, architecture: Architecture, visual: nn.Module, audio: nn.Module, channels: tuple[int, int], mel: MelSpec
    ) -> None:
        super().__init__()
        a = architecture
        self.architecture, self.channels, self.mel = a, channels, mel
        self.visual, self.audio = visual, audio
        self.visual_projection = Projection(channels[0], a.dim, a.hidden)
        self.audio_projection = Projection(channels[1], a.dim, a.hidden)
        self.cluster = SoftKMeans(2, a.iters, a.beta, a.init)
        self.offscreen: tuple[float, ...] = ()
        """Distance beyond which a sound is not in the picture, for 1, 2 ... sounds; empty where it was not calibrated."""

    def embed_image(self, images: Tensor, bf16: bool = False) -> Float[Tensor, "batch h w dim"]:
        """Positions of pictures: bytes ``(batch, S, S, 3)``, or features ``(batch, channels, h, w)`` without a backbone.

        With ``bf16`` the backbone computes in bfloat16, as a training may that wants to be fast; the rest never does.
        """
        return self._positions(self.visual_projection, self._features(images, bf16))

    def embed_audio(self, features: Tensor, bf16: bool = False) -> Float[Tensor, "batch t f dim"]:
        """Positions of sounds: log-mel ``(batch, frames, bands)``, or features ``(batch, channels, t, f)``."""
        if features.ndim == 3:
            features = features[:, None]
        return self._positions(self.audio_projection, _run(self.audio, features, bf16))

    @torch.inference_mode()
    def objects(self, images: Tensor) -> Float[Tensor, "batch h w"]:
        """Where a picture shows things, whatever sounds: the prior that EZ-VSL fuses into its maps.

        Mean size of the visual backbone's outputs at each position, scaled to [0, 1] in each picture; of a backbone that
        has learned to tell things apart (ImageNet) it is large on things. Images are as for :meth:`embed_image`.
        """
        seen = self._features(images).float().abs().mean(1)
        low, high = seen.amin((1, 2), keepdim=True), seen.amax((1, 2), keepdim=True)
        return (seen - low) / (high - low).clamp(min=EPS)

    def centers(self, positions: Float[Tensor, "batch h w dim"], k: int) -> Clusters:
        """Cluster embedded positions."""
        return self.cluster(positions.flatten(1, 2), k)

    def distance(
        self, visual: Float[Tensor, "images kv dim"], audio: Float[Tensor, "sounds ka dim"]
    ) -> Float[Tensor, "images sounds"]:
        """Mean over the audio centres of the squared distance to the nearest visual centre, of all pairs."""
        return minima(visual, audio).square().mean(-1)

    def match(self, images: Tensor, sounds: Tensor, k_audio: int = 1, k_visual: int | None = None) -> Tensor:
        """Distances of pictures to sounds, ``(images, sounds)``; smaller is a better match."""
        v = self.centers(self.embed_image(images), self._visual_clusters(k_audio, k_visual))
        a = self.centers(self.embed_audio(sounds), k_audio)
        return self.distance(v.centers, a.centers)

    def localize(
        self, images: Tensor, sounds: Tensor, k_audio: int = 1, k_visual: int | None = None, size: int | None = None
    ) -> Localization:
        """Where the sounds of each clip are in its picture.

        Args:
            images: As for :meth:`embed_image`.
            sounds: As for :meth:`embed_audio`, one a picture.
            k_audio: Number of sounds K_a.
            k_visual: Number of visual clusters K_v; K_a and the architecture's background clusters when not given.
            size: Side of the maps; bilinear. The grid of positions when not given.
        """
        positions = self.embed_image(images)
        v = self.centers(positions, self._visual_clusters(k_audio, k_visual))
        a = self.centers(self.embed_audio(sounds), k_audio)
        return read_out(v, a.centers, grid_of(positions), size)

    def without_backbones(self) -> "AVNet":
        """The same projections on features instead of pictures and log-mel; parameters are shared."""
        bare = AVNet(self.architecture, nn.Identity(), nn.Identity(), self.channels, self.mel)
        bare.visual_projection, bare.audio_projection = self.visual_projection, self.audio_projection
        bare.offscreen = self.offscreen
        return bare

    def _features(self, images: Tensor, bf16: bool = False) -> Tensor:
        if images.dtype == torch.uint8:
            images = images.permute(0, 3, 1, 2).float() / 255
        return _run(self.visual, images, bf16)

    def _visual_clusters(self, k_audio: int, k_visual: int | None) -> int:
        return k_audio + self.architecture.background if k_visual is None else k_visual

    def _positions(self, project: nn.Module, features: Tensor) -> Tensor:
        u = project(features.permute(0, 2, 3, 1).float())
        return normalize(u, dim=-1) if self.architecture.normalize else u


def minima(
    visual: Float[Tensor, "images kv dim"], audio: Float[Tensor, "sounds ka dim"]
) -> Float[Tensor, "images sounds ka"]:
    """``m_j = min_k |c^v_k - c^a_j|`` of every picture with every sound."""
    v, a = visual.flatten(0, 1), audio.flatten(0, 1)
    square = torch.addmm(v.square().sum(1)[:, None] + a.square().sum(1), v, a.T, alpha=-2)
    shape = (*visual.shape[:2], *audio.shape[:2])
    return square.clamp(min=EPS).view(shape).amin(1).sqrt()


def read_out(
    visual: Clusters, audio: Float[Tensor, "batch ka dim"], grid: tuple[int, int], size: int | None = None
) -> Localization:
    """The map of each audio centre: the assignment to its nearest visual cluster."""
    d = torch.cdist(audio, visual.centers)
    dist, nearest = d.min(-1)
    index = nearest[..., None].expand(-1, -1, visual.assign.shape[-1])
    maps = visual.assign.gather(1, index).unflatten(-1, grid)
    return Localization(resize(maps, size) if size else maps, nearest, dist)


def grid_of(positions: Float[Tensor, "batch h w dim"]) -> tuple[int, int]:
    """Rows and columns of positions."""
    return positions.shape[1], positions.shape[2]


def dense_map(positions: Float[Tensor, "batch h w dim"], audio: Float[Tensor, "batch ka dim"]) -> Tensor:
    """The read-out without clusters: ``exp(-|u^v_i - c^a_j|)``, ``(batch, K_a, h, w)``."""
    d = torch.cdist(audio, positions.flatten(1, 2))
    return (-d).exp().unflatten(-1, positions.shape[1:3])


def resize(maps: Float[Tensor, "batch k h w"], size: int | tuple[int, int]) -> Float[Tensor, "batch k height width"]:
    """Bilinear."""
    return interpolate(maps, size, mode="bilinear", align_corners=False)


def build(architecture: Architecture, seed: int = 0, weights: tuple[Path, Path] | None = None) -> AVNet:
    """A network with random projections (and, unless pretrained, random backbones) of the given seed.

    Args:
        architecture: What it is made of.
        seed: Seed of the initialisation.
        weights: Files of MobileNetV2 and YAMNet for the pretrained backbones, which are then frozen.

    Raises:
        InputError: Pretrained backbones without weights, or settings out of range.
    """
    a = architecture
    if a.dim < 1 or a.hidden < 0 or not (a.beta > 0 and math.isfinite(a.beta)):
        raise InputError(f"dim = {a.dim}, hidden = {a.hidden}, beta = {a.beta}: expected positive sizes and a finite beta")
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        if a.backbone == "pretrained":
            if weights is None:
                raise InputError("pretrained backbones need the weight files of MobileNetV2 and YAMNet: give both paths")
            visual, audio = MobileNet(weights[0]), YAMNet(weights[1])
            visual.requires_grad_(False)
            audio.requires_grad_(False)
        elif a.backbone == "resnet18":
            visual, audio = ResNet18(3), ResNet18(1)
        else:
            visual, audio = SmallCNN(3, a.widths), SmallCNN(1, a.widths)
        return AVNet(a, visual, audio, (visual.channels, audio.channels), audio.mel)


def _run(backbone: nn.Module, x: Tensor, bf16: bool) -> Tensor:
    if not bf16:
        return backbone(x)
    with torch.autocast(x.device.type, torch.bfloat16):
        return backbone(x)
