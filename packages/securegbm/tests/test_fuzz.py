"""Signed nonsense of every kind, in both directions: one sentence each, no traceback, the true peer still served."""

from securegbm.app.fuzz import fuzz
from securegbm.wire.messages import Kind


def test_signed_mutations_of_every_message_end_in_one_sentence():
    found = fuzz(300, seed=1)
    assert found["faults"] == []
    kinds = {name.split()[0] for name in found["outcomes"]}
    assert (
        {"HELLO", "TREE", "SUMS", "SPLIT", "COMMIT", "FINISH", "EVALUATE", "OPEN"}
        <= kinds
        <= {k.name for k in Kind} | {"none"}
    )
    assert sum(n for name, n in found["outcomes"].items() if name.endswith("refused")) > 150
