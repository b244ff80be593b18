"""The command line: identities, models, audit and demo here, the parties' own commands in `party_commands`."""

import sys
from collections.abc import Sequence
from pathlib import Path

from claimkit.cli import main as run
from securegbm.align.command import align
from securegbm.app.model_commands import models_importance, models_list, models_retire, models_show, models_use
from securegbm.app.party_commands import party_a_predict, party_a_serve, party_a_train, party_b_serve

TWO_WORDS = ("party-a", "party-b", "models", "certs")
"""First words of the verbs that are two."""

CITATION = """
@inproceedings{feng2019securegbm,
  title     = {SecureGBM: Secure Multi-Party Gradient Boosting},
  author    = {Feng, Zhi and Xiong, Haoyi and Song, Chuanyuan and Yang, Sijia and Zhao, Baoxin and Wang, Licheng and
               Chen, Zeyu and Yang, Shengwen and Liu, Liping and Huan, Jun},
  booktitle = {IEEE International Conference on Big Data},
  year      = {2019},
  note      = {arXiv:1911.11997}
}
"""


def certs(name: str = "party-a", out: Path = Path("certs"), days: int = 365) -> None:
    """Make this party's certificate and private key; give the other party the .crt file and its fingerprint.

    Example: securegbm certs --name party-a

    Args:
        name: party-a (labels) or party-b (features).
        out: Folder of the files.
        days: Validity.
    """
    from securegbm import verbs

    verbs.certs(name, out, days)


def certs_rotate(name: str = "party-a", out: Path = Path("certs"), days: int = 365) -> None:
    """Replace this party's certificate and key by new ones; runs and models stay valid.

    Example: securegbm certs rotate --name party-a

    Args:
        name: party-a or party-b: whose key is replaced, on its own machine.
        out: Folder of the files.
        days: Validity.
    """
    from securegbm import verbs

    verbs.certs_rotate(name, out, days)


def certs_accept(name: str = "party-b", out: Path = Path("certs")) -> None:
    """Take over the other party's new certificate, which its old key signed (NAME.rotation in the same folder).

    Example: securegbm certs accept --name party-b

    Args:
        name: The other party: party-a or party-b.
        out: Folder of the files.
    """
    from securegbm import verbs

    verbs.certs_accept(name, out)


def export(
    label_half: Path = Path("party-a"),
    feature_half: tuple[Path, ...] = (Path("party-b"),),
    run: str | None = None,
    out: Path = Path("model.txt"),
    i_consent: bool = False,
) -> None:
    """Join both halves into one LightGBM text model. Whoever reads it sees every edge and every leaf value.

    Example: securegbm export --label-half party-a --feature-half party-b --i-consent

    Args:
        label_half: model.json of the label party, or its state folder.
        feature_half: model.json of the feature party, or its state folder; of every one, in the order of training.
        run: Run (or job) whose halves are meant, when folders are given; the label party's model in use by default.
        out: The text model, for `lightgbm.Booster(model_file=...)`.
        i_consent: Both parties agree to the joint model.
    """
    from securegbm import verbs

    verbs.export(label_half, feature_half, run, out, i_consent)


def audit(log: Path, messages: bool = False, verify: bool = False, against: Path | None = None) -> None:
    """Say what one side sent, received and learned, from its message log; prove that nothing was cut out of it.

    Example: securegbm audit --log party-a/messages.jsonl

    Args:
        log: messages.jsonl of a party's state folder.
        messages: Also one line per message.
        verify: Check the chain of the log's lines.
        against: The other side's messages.jsonl; check that both say the same.
    """
    from securegbm import verbs

    verbs.audit(log, messages, verify, against)


def demo(out: Path = Path("securegbm-demo.png"), trees: int = 10, workers: int = 1) -> None:
    """Train two processes on this machine over TLS: who does better alone, together, and securely; write one picture.

    Example: securegbm demo

    Args:
        out: The picture.
        trees: Boosting iterations.
        workers: Processes of each party for the arithmetic.
    """
    from securegbm import verbs

    verbs.demo(out, trees, workers)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line; `party-a train` is one verb of two words."""
    words = list(sys.argv[1:] if argv is None else argv)
    if len(words) > 1 and words[0] in TWO_WORDS and not words[1].startswith("-"):
        words[:2] = [" ".join(words[:2])]
    run(
        "securegbm",
        "Two parties train one LightGBM and neither sees the other's columns.",
        {
            "certs": certs,
            "party-b serve": party_b_serve,
            "party-a train": party_a_train,
            "party-a predict": party_a_predict,
            "party-a serve": party_a_serve,
            "export": export,
            "audit": audit,
            "demo": demo,
            "align": align,
            "certs rotate": certs_rotate,
            "certs accept": certs_accept,
            "models list": models_list,
            "models show": models_show,
            "models importance": models_importance,
            "models retire": models_retire,
            "models use": models_use,
        },
        CITATION,
        words,
        {"--validation-fraction": "--validation"},
    )
