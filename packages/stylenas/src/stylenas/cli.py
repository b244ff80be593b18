"""The command line; torch and optuna are imported inside the verbs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from claimkit.cli import main as run

CITATION = """
@article{an2019stylenas,
  title   = {StyleNAS: An Empirical Study of Neural Architecture Search to Uncover Surprisingly Fast End-to-End
             Universal Style Transfer Networks},
  author  = {An, Jie and Xiong, Haoyi and Ma, Jinwen and Luo, Jiebo and Huan, Jun},
  journal = {arXiv preprint arXiv:1906.02470},
  year    = {2019}
}
@inproceedings{an2020ultrafast,
  title     = {Ultrafast Photorealistic Style Transfer via Neural Architecture Search},
  author    = {An, Jie and Xiong, Haoyi and Huan, Jun and Luo, Jiebo},
  booktitle = {AAAI Conference on Artificial Intelligence},
  year      = {2020}
}
@inproceedings{real2019regularized,
  title     = {Regularized Evolution for Image Classifier Architecture Search},
  author    = {Real, Esteban and Aggarwal, Alok and Huang, Yanping and Le, Quoc V.},
  booktitle = {AAAI Conference on Artificial Intelligence},
  year      = {2019}
}
"""

Sampler = Literal["evolution", "random", "nsga2"]
Training = Literal["supernet", "scratch"]


def demo(out: Path = Path("stylenas-demo.png"), budget: int = 200, seeds: int = 3) -> None:
    """Search a synthetic table with aging evolution, NSGA-II and at random; write one picture. Takes seconds.

    Example: stylenas demo --out stylenas.png

    Args:
        out: The picture.
        budget: Evaluations of each search.
        seeds: Tables, each searched by all three.
    """
    from stylenas import verbs

    verbs.demo(out, budget, seeds)


def search(
    space: str = "published",
    budget: int = 200,
    workers: int = 1,
    storage: str = "stylenas.journal",
    objectives: tuple[str, ...] = ("published",),
    sampler: Sampler = "evolution",
    population: int | None = None,
    tournament: int | None = None,
    training: Training = "supernet",
    size: int = 96,
    steps: int = 400,
    content: Path | None = None,
    seed: int = 0,
    study: str = "search",
    out: Path | None = None,
    kind: Literal["processes", "threads"] = "processes",
    confirm: str | None = None,
) -> None:
    """Search; the same command goes on where it was killed, and joins from other processes and machines.

    Example: stylenas search --budget 200 --workers 2 --storage search.journal

    Args:
        space: published (31 operators), extended (encoder depth and width, too), table (synthetic), or MODULE:NAME.
        budget: Evaluations of different networks in all, those of earlier runs included.
        workers: Processes, or threads.
        storage: Journal file, or the address of a database such as sqlite:///search.db.
        objectives: published, a term such as macs, or a sum such as "0.8*reconstruction + 0.1*macs", to be
            minimised; several for a front.
        sampler: evolution is StyleNAS's, random and nsga2 are Optuna's.
        population: Networks alive, 50 when not given; of evolution and nsga2.
        tournament: Draws of a tournament, 10 when not given; of evolution.
        training: supernet shares one decoder's weights among all candidates, scratch trains each anew.
        size: Side of the pictures in pixels, a multiple of 16.
        steps: Steps of training: of the shared weights, or of each candidate.
        content: Folder of photographs to train on, instead of the five that come with scikit-image and scikit-learn.
        seed: Seed of all draws: of the sampler, and of crops, first weights and training of style networks.
        study: Name of the study in the storage.
        out: Picture of the search; beside the storage when not given.
        kind: Of workers: threads for evaluations that wait, as on a cluster; they need not be importable elsewhere.
        confirm: How many of the best are evaluated again with how many seeds before a winner is named, such as 10x3.
    """
    from stylenas import verbs

    options = verbs.StyleOptions(training, size, steps, content)
    verbs.search(
        space, budget, workers, storage, objectives, sampler, population, tournament, options, seed, study, out,
        kind, confirm,
    )  # fmt: skip


def front(
    storage: str = "stylenas.journal",
    x: str = "macs",
    y: str = "quality",
    study: str = "search",
    out: Path | None = None,
) -> None:
    """Print the networks of a search that no other one dominates in two terms, and draw them.

    Example: stylenas front --storage search.journal --out front.png

    Args:
        storage: Of a search.
        x: A term or a weighted sum, the cost.
        y: A term or a weighted sum.
        study: Name of the study in the storage.
        out: Picture; beside the storage when not given.
    """
    from stylenas import verbs

    verbs.front(storage, x, y, study, out)


def export(
    storage: str = "stylenas.journal",
    count: int = 5,
    objective: str | None = None,
    study: str = "search",
    out: Path | None = None,
) -> None:
    """Write the best networks as JSON: strings of bits that photonet loads, with all their terms.

    Example: stylenas export --storage search.journal --count 10 --out best.json

    Args:
        storage: Of a search.
        count: How many.
        objective: Best in which sense; by default, in that of the search.
        study: Name of the study in the storage.
        out: File to write; printed when not given.
    """
    from stylenas import verbs

    verbs.export(storage, count, objective, study, out)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line."""
    run(
        "stylenas",
        "Evolutionary search of style-transfer networks, and of any other space of binary operators.",
        {"demo": demo, "search": search, "front": front, "export": export},
        CITATION,
        argv,
    )
