"""The command line; torch is imported inside the verbs."""

from collections.abc import Sequence

from paperkit.cli import main as run

CITATION = """
@inproceedings{li2019delta,
  title     = {{DELTA}: {DEep} Learning Transfer using Feature Map with Attention for Convolutional Networks},
  author    = {Li, Xingjian and Xiong, Haoyi and Wang, Hanchao and Rao, Yuxuan and Liu, Liping and Huan, Jun},
  booktitle = {International Conference on Learning Representations},
  year      = {2019},
  note      = {arXiv:1901.09229}
}
"""


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line."""
    run("delta", "Fine-tuning that keeps what the source network sees.", {}, CITATION, argv)
