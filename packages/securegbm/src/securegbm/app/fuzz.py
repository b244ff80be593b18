"""A partner who knows the shared secret and sends nonsense: mutations of every kind of message, correctly signed."""

import dataclasses
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

from securegbm.config import TrainConfig
from securegbm.errors import SecureGBMError
from securegbm.feature_party.party import FeatureParty
from securegbm.feature_party.policy import FeaturePolicy
from securegbm.label_party.party import LabelParty
from securegbm.label_party.predict import Predictor
from securegbm.tables.binning import BinConfig
from securegbm.tables.table import Table
from securegbm.trees.growth import GrowthConfig
from securegbm.trees.rules import SplitRules
from securegbm.wire.channel import LocalChannel
from securegbm.wire.messages import Endpoint, Kind, Message, new_run, peek

KEY = b"fuzz"
VALUES: list[Any] = [None, True, False, -1, 0, 1, 7, 2**31, 2**63, -(2**70), 10**300, 1.5, float("nan"), float("inf"), "",
                     "x", "x" * 70_000, "\n\x1b[2J", "00" * 32, [], [1], [[]] * 50, {}, {"a": 1}, "none", "toy"]  # fmt: skip
ROWS = 48


def _deep(levels: int) -> Any:
    found: Any = []
    for _ in range(levels):
        found = [found]
    return found


def mutate(message: Message, draw: random.Random) -> Message:
    """One to three changes of a message's head, fields or parts."""
    for _ in range(draw.randint(1, 3)):
        fields, parts = dict(message.fields), list(message.parts)
        what = draw.randrange(9)
        if what == 0 and fields:
            fields.pop(draw.choice(sorted(fields)))
        elif what == 1:
            fields[draw.choice([*sorted(fields), "more"])] = draw.choice([*VALUES, _deep(draw.choice((3, 400)))])
        elif what == 2 and fields:
            name = draw.choice(sorted(fields))
            if isinstance(fields[name], dict) and fields[name]:
                inner = draw.choice(sorted(fields[name]))
                fields[name] = fields[name] | {inner: draw.choice(VALUES)}
        elif what == 3 and parts:
            parts.pop(draw.randrange(len(parts)))
        elif what == 4:
            parts.insert(draw.randint(0, len(parts)), draw.randbytes(draw.choice((0, 1, 6, 16, 384, 5000))))
        elif what == 5 and parts:
            at = draw.randrange(len(parts))
            parts[at] = parts[at][: draw.randrange(len(parts[at]) + 1)]
        elif what == 6 and parts:
            at = draw.randrange(len(parts))
            parts[at] = draw.randbytes(len(parts[at]))
        elif what == 7:
            message = dataclasses.replace(message, **{draw.choice(("tree", "node")): draw.choice((-1, 0, 1, 5, 2**31 - 1))})
        else:
            message = dataclasses.replace(message, kind=draw.choice(list(Kind)))
        message = dataclasses.replace(message, fields=fields, parts=parts)
    return message


def tables() -> tuple[Table, Table, Any]:
    """Two tiny tables and labels."""
    values = np.random.default_rng(0).normal(size=(ROWS, 4))
    return Table.of(values[:, :2]), Table.of(values[:, 2:]), (values.sum(axis=1) > 0) * 1.0


def config(encryption: Any) -> TrainConfig:
    """One tiny tree."""
    rules = SplitRules(min_data_in_leaf=4)
    return TrainConfig(n_estimators=1, growth=GrowthConfig(3), bins=BinConfig(4), rules=rules, encryption=encryption,
                       stride=64 if encryption != "none" else None)  # fmt: skip


class Between:
    """Stands between two honest parties with both their secrets, and changes the message number `at` in one direction."""

    def __init__(self, party: FeatureParty, at: int, replies: bool, draw: random.Random) -> None:
        self.party, self._at, self._replies, self._draw = party, at, replies, draw
        self._number, self.kind = 0, ""

    def call(self, data: bytes) -> bytes:
        """Hand a message on, changed when it is its turn."""
        self._number += 1
        if self._number != self._at:
            return self.party.handle(data)
        self.kind = peek(data)[0].name
        if not self._replies:
            return self.party.handle(_changed(data, self._draw))
        return _changed(self.party.handle(data), self._draw)


def _changed(data: bytes, draw: random.Random) -> bytes:
    """The message again after mutation, with its number and transcript, and signed."""
    reader = Endpoint(KEY)
    head, transcript = reader.head_of(data)
    reader.stand(head, transcript)
    message = reader.decode(data)
    writer = Endpoint(KEY)
    writer.stand(head, transcript)
    return writer.encode(mutate(message, draw))


def fuzz(count: int, seed: int = 0, every: Callable[[int], None] = lambda done: None) -> dict[str, Any]:
    """Send `count` mutated messages, to either side; after each the true peer must still be served.

    Args:
        count: How many.
        seed: Of the mutations.
        every: Called with the number done so far.

    Returns:
        Counts of outcomes by kind of message, and every sentence that was no sentence.
    """
    draw, outcomes, faults = random.Random(seed), Counter[str](), []
    mine, theirs, labels = tables()
    told: list[str] = []
    policy = FeaturePolicy(allow_plain=True, allow_toy=True, open_cells=10**9)
    for number in range(count):
        party = FeatureParty(theirs, policy, KEY, tell=told.append)
        plain = config("toy" if number % 16 == 0 else "none")
        chosen = dataclasses.replace(plain, spot_checks=2 * (number % 2))
        between = Between(party, draw.randint(1, 12), number % 4 == 3, draw)
        said = ""
        try:
            half = LabelParty(mine, labels, chosen, between, key=KEY, run=new_run()).train()
            Predictor(half, between, KEY, path_only=bool(number % 3 == 0)).scores(mine)
        except SecureGBMError as error:
            said = str(error)
        except Exception as error:  # what a user would see as a traceback
            faults.append(f"{between.kind}: {type(error).__name__}: {error}")
        for sentence in (said, *told):
            if "\n" in sentence or "\x1b" in sentence or len(sentence) > 1200:
                faults += [f"{between.kind}: {sentence[:200]!r}"]
        outcomes[f"{between.kind or 'none'} {'refused' if said else 'served'}"] += 1
        told.clear()
        if number % 10 == 0:
            LabelParty(mine, labels, config("none"), LocalChannel(party), key=KEY).train()
        party.close()
        every(number + 1)
    return {"outcomes": dict(sorted(outcomes.items())), "faults": faults}
