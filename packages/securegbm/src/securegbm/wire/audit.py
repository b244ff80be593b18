"""The record of a conversation, and what each side learned from it, in plain words. Payloads are never recorded."""

import json
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from securegbm.errors import SecureGBMError
from securegbm.state.registry import now
from securegbm.state.store import append_privately
from securegbm.wire.messages import Kind, Message
from securegbm.wire.proof import FIRST, chain, last_chain

_RECORDED = ("rows", "trees", "hide_instances", "privacy_bits", "encryption", "min_bin_rows", "stride", "feature",
             "threshold", "committed", "all_rows", "path_only", "purpose", "reason", "noise", "epsilon")  # fmt: skip

_LEARNED = {
    ("HELLO", "feature"): "the label party's row count, its settings, and that both id lists agree",
    ("HELLO", "label"): "how many bins each (unnamed) column of the feature party has, and which have missing values",
    ("KEYS", "feature"): "a public key, and whether all hessians are 1 (then it counts rows)",
    ("KEYS", "label"): "nothing",
    ("TREE", "feature"): "that a tree begins (and, when hiding, which rows were drawn for it)",
    ("TREE", "label"): "nothing",
    ("SUMS", "feature"): "ciphertexts, and which rows are in the node unless instances are hidden",
    (
        "SUMS",
        "label",
    ): "exact sums of gradients and hessians over the node's rows, per bin of the feature party",
    ("SPLIT", "feature"): "which of its columns and bins won, and the node's rows unless instances are hidden",
    ("SPLIT", "label"): "which rows fall left and right of one unknown edge of the feature party",
    ("COMMIT", "feature"): "that the tree is whole",
    ("COMMIT", "label"): "that the tree is stored",
    ("FINISH", "feature"): "how many trees are kept",
    ("FINISH", "label"): "nothing",
    ("EVALUATE", "feature"): "which of its rows are scored (and the decision path with path_only)",
    ("EVALUATE", "label"): "left or right for the scored rows at the feature party's splits",
    ("OPEN", "feature"): "which rows are held against its commitment",
    ("OPEN", "label"): "the bin of one column of these rows",
    ("ALIGN", "feature"): "how many ids the label party has (as rounded), and which of its own are common",
    ("ALIGN", "label"): "how many ids the feature party has (as rounded), and which of its own are common",
    ("ABORT", "feature"): "why the label party ended the session",
    ("ABORT", "label"): "why the feature party ended the session",
}


class MessageLog:
    """Appends one JSON line per message: time, run, direction, kind, bytes, public fields, transcript, peer, chain.

    The file can be read by this user alone: its lines name nodes, columns and bins.

    Args:
        path: The file; it grows over restarts.
        role: `label` or `feature`.
        peer: Fingerprint of the other party's certificate; empty without certificates.
    """

    def __init__(self, path: Path, role: str, peer: str = "") -> None:
        self._path, self._role, self._peer, self._lock = path, role, peer, threading.Lock()
        self._chain, self._size = FIRST, 0

    def __call__(self, direction: str, message: Message, size: int, transcript: bytes) -> None:
        """Record one message.

        Raises:
            SecureGBMError: If the disk is full or the folder cannot be written.
        """
        line: dict[str, Any] = {
            "time": now(),
            "run": message.session.hex(),
            "peer": self._peer,
            "transcript": transcript.hex(),
            "role": self._role,
            "direction": direction,
            "kind": message.kind.name,
            "tree": message.tree,
            "node": message.node,
            "bytes": size,
            "fields": {name: message.fields[name] for name in _RECORDED if name in message.fields},
            "parts": _sizes(message),
        }

        def make(size: int) -> bytes:
            if size != self._size:  # another process of this party wrote, too
                self._chain = last_chain(self._path)
            line["chain"] = chain(self._chain, line)
            return json.dumps(line).encode() + b"\n"

        with self._lock:
            self._size = append_privately(self._path, make)
            self._chain = line["chain"]


def _sizes(message: Message) -> dict[str, int]:
    return {"count": len(message.parts), "bytes": sum(map(len, message.parts))}


def read_log(path: Path) -> list[dict[str, Any]]:
    """The lines of a log; a last line that a killed process left half-written is skipped.

    Raises:
        SecureGBMError: If there is no log.
    """
    if not path.exists():
        raise SecureGBMError(f"{path} does not exist; give the messages.jsonl of a party's state folder")
    lines = path.read_text().splitlines()
    found = []
    for number, line in enumerate(lines):
        try:
            found.append(json.loads(line))
        except ValueError as error:
            if number + 1 < len(lines) and lines[number + 1 :] != [""]:
                continue
            if not found:
                raise SecureGBMError(f"{path} is no message log") from error
    return found


def describe(lines: list[dict[str, Any]], messages: bool = False) -> Iterator[str]:
    """What this side sent, received and learned.

    Args:
        lines: A log.
        messages: Also one line per message.
    """
    if not lines:
        yield "no messages were exchanged"
        return
    role = lines[0]["role"]
    if messages:
        for line in lines:
            what = _LEARNED[line["kind"], role] if line["direction"] == "received" else "-"
            where = f"tree {line['tree']} node {line['node']}" if line["tree"] >= 0 else ""
            yield f"{line['direction']:<8} {line['kind']:<8} {where:<16} {line['bytes']:>12,} bytes  learned: {what}"
    total: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
    for line in lines:
        total[line["kind"], line["direction"]][0] += 1
        total[line["kind"], line["direction"]][1] += line["bytes"]
    yield f"{'kind':<9}{'sent':>8}{'bytes':>16}{'received':>10}{'bytes':>16}"
    for kind in (kind.name for kind in Kind):
        sent, received = total.get((kind, "sent"), [0, 0]), total.get((kind, "received"), [0, 0])
        if sent[0] or received[0]:
            yield f"{kind:<9}{sent[0]:>8}{sent[1]:>16,}{received[0]:>10}{received[1]:>16,}"
    yield f"the {role} party learned:"
    for kind in (kind.name for kind in Kind):
        if (kind, "received") in total:
            yield f"  {kind}: {_LEARNED[kind, role]}"
    tags = Counter(
        (line["fields"]["feature"], line["fields"]["threshold"])
        for line in lines
        if line["kind"] == "SPLIT" and "feature" in line["fields"]
    )
    if tags:
        most = ", ".join(f"column {f} bin {b}: {n}" for (f, b), n in tags.most_common(5))
        yield f"splits on the feature party's columns, most frequent first: {most}"
    told = [line["fields"]["epsilon"] for line in lines if "epsilon" in line["fields"]]
    if told:
        yield (
            f"account of the noise, one row's columns in the sums of the last run: epsilon {told[-1]}, for gradients of at "
            "most 1; decisions are exact and not in it"
        )
    hidden = [line for line in lines if line["kind"] == "SUMS" and line["fields"].get("all_rows")]
    shown = [line for line in lines if line["kind"] == "SUMS" and not line["fields"].get("all_rows")]
    if role == "feature":
        yield f"requests that named a node's rows: {sum(line['direction'] == 'received' for line in shown)}"
        yield f"requests that hid them: {sum(line['direction'] == 'received' for line in hidden)}"
