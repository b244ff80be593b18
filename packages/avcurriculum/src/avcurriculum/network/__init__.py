"""The audiovisual network: soft clustering, backbones, model, losses, and the heads and maps that it is compared with."""

from avcurriculum.network import baselines, cluster, losses, model

__all__ = ["baselines", "cluster", "losses", "model"]
