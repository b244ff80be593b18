"""Which fields and how many parts each message may have, of which type and in which range: checked before any use."""

from collections.abc import Callable
from typing import Any

from securegbm.errors import ProtocolError
from securegbm.wire.messages import Kind, Message

Check = Callable[[Any], bool]
MOST_ROWS = 1 << 31
MOST_TREES = 1 << 20


def whole(least: int, most: int) -> Check:
    """A whole number from `least` to `most` (no truth value)."""
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def flag(value: Any) -> bool:
    """True or false."""
    return isinstance(value, bool)


def text(most: int) -> Check:
    """Printable text of at most `most` characters: it ends up in a terminal and in a log."""
    return lambda value: isinstance(value, str) and len(value) <= most and value.isprintable()


def digits(count: int) -> Check:
    """`count` hexadecimal digits."""
    return lambda value: isinstance(value, str) and len(value) == count and not set(value) - set("0123456789abcdef")


def one_of(*values: Any) -> Check:
    """One of these values, of the same type."""
    return lambda value: any(type(value) is type(known) and value == known for known in values)


def listing(item: Check, most: int) -> Check:
    """A list of at most `most` items."""
    return lambda value: isinstance(value, list) and len(value) <= most and all(map(item, value))


def record(needed: dict[str, Check], optional: dict[str, Check] | None = None) -> Check:
    """An object with these fields and no others."""
    known = needed | (optional or {})

    def check(value: Any) -> bool:
        return (
            isinstance(value, dict)
            and needed.keys() <= value.keys() <= known.keys()
            and all(known[name](held) for name, held in value.items())
        )

    return check


def either(one: Check, other: Check) -> Check:
    """One or the other."""
    return lambda value: one(value) or other(value)


_none = one_of(None)
_bins = record({}, {"max_bin": whole(2, 1023), "min_data_in_bin": whole(1, MOST_ROWS), "zero_as_missing": flag})
_parameters = record({"degree": whole(1, 1 << 16), "coeff_bits": listing(whole(1, 60), 8), "plain_bits": whole(2, 60),
                      "merge": flag, "toy": flag})  # fmt: skip
_layout = record({"num_bin": whole(1, 1024), "missing": one_of("none", "nan", "zero"), "default_bin": whole(0, 1023),
                  "most_freq_bin": whole(0, 1023)}, {"monotone": whole(-1, 1), "categorical": flag})  # fmt: skip
_predict = record({"purpose": one_of("predict")}, {"nonce": digits(32)})
_train = record(
    {"purpose": one_of("train"), "rows": whole(1, MOST_ROWS), "ids": digits(64), "trees": whole(1, MOST_TREES),
     "leaves": whole(2, 4096), "bins": _bins, "hide_instances": flag, "privacy_bits": whole(4, 23),
     "encryption": one_of("none", "toy", "standard", "strong"), "parameters": either(_none, _parameters)},
    {"nonce": digits(32), "label": text(200), "job": text(200), "binding": digits(64), "committed": whole(0, MOST_TREES),
     "last": digits(64), "step": whole(1, 1000), "ring": one_of("numba", "seal"),
     "roll_back": flag, "stride": either(_none, whole(1, 1 << 16)),
     "continues": either(_none, record({"run": digits(32), "trees": whole(0, MOST_TREES), "last": digits(64)}))},
)  # fmt: skip
_sums = record({}, {"stride": whole(1, 1 << 16), "all_rows": flag})
_split = record({"feature": whole(0, 1 << 20), "threshold": whole(0, 1023), "default_left": flag},
                {"all_rows": flag, "categories": listing(whole(1, 1023), 1023)})  # fmt: skip
_abort = record({"reason": text(1000)}, {"lost": flag})
_nothing = record({})

REQUESTS: dict[Kind, tuple[Check, int, int]] = {
    Kind.HELLO: (either(_predict, _train), 0, 0),
    Kind.KEYS: (_nothing, 2, 2),
    Kind.TREE: (_nothing, 0, 1),
    Kind.SUMS: (_sums, 1, 1 << 24),
    Kind.SPLIT: (_split, 0, 1),
    Kind.COMMIT: (_nothing, 0, 0),
    Kind.FINISH: (record({"trees": whole(0, MOST_TREES)}), 0, 0),
    Kind.EVALUATE: (record({}, {"path_only": flag}), 1, 2),
    Kind.OPEN: (_nothing, 1, 1),
    Kind.ALIGN: (record({}, {"fold_case": flag}), 1, 1),
    Kind.ABORT: (_abort, 0, 0),
}
"""Per kind: the fields, the fewest and the most parts."""

REPLIES: dict[Kind, tuple[Check, int, int]] = {
    Kind.HELLO: (
        either(
            record({"nonce": digits(32), "splits": listing(whole(0, MOST_TREES), 1 << 24), "last": digits(64)}),
            record({"nonce": digits(32), "committed": whole(0, MOST_TREES), "last": digits(64), "binding": digits(64),
                    "layouts": listing(_layout, 1 << 17), "min_bin_rows": whole(0, MOST_ROWS),
                    "noise": whole(0, 1 << 40), "commitment": either(digits(0), digits(64))},
                   {"ring": one_of("numba", "seal")}),
        ),
        0,
        0,
    ),
    Kind.KEYS: (_nothing, 0, 0),
    Kind.TREE: (_nothing, 0, 0),
    Kind.SUMS: (_nothing, 1, 1 << 24),
    Kind.SPLIT: (_nothing, 1, 1),
    Kind.COMMIT: (record({"committed": whole(0, MOST_TREES)}, {"epsilon": text(40)}), 0, 0),
    Kind.FINISH: (_nothing, 0, 0),
    Kind.EVALUATE: (record({}, {"flags": flag}), 1, 2),
    Kind.OPEN: (_nothing, 4, 4),
    Kind.ALIGN: (_nothing, 1, 2),
    Kind.ABORT: (_abort, 0, 0),
}  # fmt: skip


def check(message: Message, table: dict[Kind, tuple[Check, int, int]]) -> None:
    """Refuse a message whose fields or parts are not those of its kind.

    Raises:
        ProtocolError: In one sentence that repeats nothing of what arrived.
    """
    fields, fewest, most = table[message.kind]
    if not fields(message.fields):
        raise ProtocolError(f"a {message.kind.name} message lacks a field or has a wrong one; the session ends")
    if not fewest <= len(message.parts) <= most:
        raise ProtocolError(f"a {message.kind.name} message has {len(message.parts)} parts; the session ends")
    if not (-1 <= message.tree < MOST_TREES and -1 <= message.node < MOST_TREES):
        raise ProtocolError(f"a {message.kind.name} message names an impossible tree or node; the session ends")
