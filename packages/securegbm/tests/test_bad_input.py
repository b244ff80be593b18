"""Bad input of a run: one clear sentence, and the run can be resumed."""

import dataclasses
import errno
import os
from pathlib import Path

import numpy as np
import pandas
import pytest

from securegbm.app.links import Link
from securegbm.config import TrainConfig
from securegbm.errors import ProtocolError, SecureGBMError
from securegbm.feature_party.party import FeatureParty
from securegbm.feature_party.policy import FeaturePolicy
from securegbm.label_party.party import LabelParty
from securegbm.label_party.predict import Predictor
from securegbm.label_party.sampling import held_out
from securegbm.state.store import write_atomically
from securegbm.tables.binning import BinConfig, find_bins
from securegbm.tables.table import Table
from securegbm.trees.draws import Draws
from securegbm.trees.objectives import Objective
from securegbm.trees.rules import CategoryRules, SplitRules
from securegbm.wire.channel import LocalChannel
from securegbm.wire.messages import Kind, peek

POLICY = FeaturePolicy(allow_plain=True, allow_toy=True)
LINK = Link("a:1", Path(), "a", "b")
OPTIONS = [TrainConfig(), SplitRules(), CategoryRules(), Draws(), Objective("binary"), FeaturePolicy(), LINK]


@pytest.fixture
def tables(problem):
    values, labels, _ = problem(300, 4)
    return Table.of(values[:, :4]), Table.of(values[:, 4:], ["b0", "b1", "b2", "b3"]), labels


def attempt(own, other, labels, config, key, policy=POLICY, **more):
    LabelParty(own, labels, config, LocalChannel(FeatureParty(other, policy, key)), key=key, **more).train()


def test_row_counts_that_differ(tables, quick, key):
    own, other, labels = tables
    short = Table(other.values[:-1], other.names, other.ids[:-1])
    with pytest.raises(ProtocolError, match="numbers of rows differ"):
        attempt(own, short, labels, quick(), key)


def test_ids_in_another_order(tables, quick, key):
    own, other, labels = tables
    turned = Table(other.values[::-1], other.names, other.ids[::-1])
    with pytest.raises(ProtocolError, match="order differ"):
        attempt(own, turned, labels, quick(), key)


def test_the_label_at_the_feature_party(tables, quick, key):
    own, other, labels = tables
    """The label party is answered alike whatever its label is called; the feature party is told in its own terminal."""
    told = {"b2": [], "nothing": []}
    halves = []
    for name, heard in told.items():
        party = FeatureParty(other, POLICY, key, tell=heard.append)
        halves.append(LabelParty(own, labels, quick(), LocalChannel(party), key=key, label_name=name).train().to_dict())
    assert halves[0] == halves[1]
    assert len(told["b2"]) == 1
    assert "'b2', like one of your columns" in told["b2"][0]
    assert told["nothing"] == []


def test_only_constant_columns_at_the_feature_party(tables, quick, key):
    own, other, labels = tables
    constant = Table(np.ones_like(other.values), other.names, other.ids)
    with pytest.raises(SecureGBMError, match="every column of the feature party is constant"):
        attempt(own, constant, labels, quick(), key)


@pytest.mark.parametrize(("encryption", "what"), [("none", "refuses"), ("toy", "toy encryption")])
def test_weak_encryption_is_refused_unless_both_agree(encryption, what, tables, quick, key):
    own, other, labels = tables
    with pytest.raises(ProtocolError, match=what):
        attempt(own, other, labels, quick(encryption=encryption), key, FeaturePolicy())


def test_foreign_parameters_are_refused(tables, quick, key, monkeypatch):
    from securegbm.crypto.parameters import BFVParameters

    own, other, labels = tables
    monkeypatch.setattr(BFVParameters, "to_dict", lambda self: {"degree": 1024, "coeff_bits": [27], "plain_bits": 20,
                                                               "merge": False, "toy": False})  # fmt: skip
    with pytest.raises(ProtocolError, match="below 128-bit"):
        attempt(own, other, labels, quick(encryption="standard"), key)


def test_parameters_too_small_for_the_table_are_refused_by_the_feature_party(tables, quick, key, monkeypatch):
    from securegbm.crypto.parameters import BFVParameters

    own, other, labels = tables
    small = BFVParameters.choose(10, 23, "standard").to_dict()
    monkeypatch.setattr(BFVParameters, "to_dict", lambda self: small)
    with pytest.raises(ProtocolError, match="can exceed t"):
        attempt(own, other, labels, quick(encryption="standard"), key)


@pytest.mark.parametrize(
    ("labels", "what"),
    [
        (np.full(300, 2.0), "must be 0 to 1"),
        (np.full(300, np.nan), "NaN"),
        (np.zeros(10), "300 labels"),
        (np.zeros(300), "all labels of the training rows are 0"),
        (np.ones(300), "all labels of the training rows are 1"),
    ],
)
def test_bad_labels(labels, what, tables, quick, key):
    with pytest.raises(SecureGBMError, match=what):
        attempt(tables[0], tables[1], labels, quick(), key)


def test_labels_of_one_class_but_for_the_rows_held_out_are_refused(tables, quick, key):
    """The starting score was then that of a chance of 1e-15, and every prediction the same."""
    config = quick(validation_fraction=0.2, early_stopping_rounds=1)
    labels = held_out(300, config).astype(float)
    with pytest.raises(SecureGBMError, match="all labels of the training rows are 0"):
        attempt(tables[0], tables[1], labels, config, key)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: type(options).__name__)
def test_no_number_among_the_options_may_be_nan_or_infinite(options, value):
    """A lambda of NaN gave a model of no split, a least hessian of NaN none at all, without a word."""
    names = [name for name, given in vars(options).items() if isinstance(given, float)]
    assert names
    for name in names:
        with pytest.raises(SecureGBMError, match=f"{name}.* is {value}" if name != "patience" else f"patience {value}"):
            dataclasses.replace(options, **{name: value})


def test_bad_weights(tables, quick, key):
    with pytest.raises(SecureGBMError, match="weights must be positive"):
        attempt(*tables, quick(), key, weights=np.zeros(300))


def test_bad_tables():
    with pytest.raises(SecureGBMError, match="ids repeat"):
        Table(np.zeros((2, 1)), ("a",), ("1", "1"))
    with pytest.raises(SecureGBMError, match="no rows"):
        Table(np.zeros((0, 1)), ("a",), ())
    with pytest.raises(SecureGBMError, match="one id per row"):
        Table(np.zeros((2, 1)), ("a",), ("1",))
    with pytest.raises(SecureGBMError, match="infinite"):
        find_bins(np.array([1.0, np.inf]), BinConfig())
    with pytest.raises(SecureGBMError, match="not numeric"):
        find_bins(np.array(["a", "b"]), BinConfig())


def test_bad_csv(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("id,a,b\n1,x,2\n2,y,3\n")
    assert Table.read(path, "id")[0].rules == {"a": {"kind": "category", "values": ["x", "y"]}}
    with pytest.raises(SecureGBMError, match="no column 'key'"):
        Table.read(path, "key")
    with pytest.raises(SecureGBMError, match="cannot read"):
        Table.read(tmp_path / "absent.csv", "id")


def test_another_table_or_setting_cannot_resume_a_run(tables, quick, key, tmp_path):
    own, other, labels = tables
    attempt(own, other, labels, quick(), key, state=tmp_path)
    with pytest.raises(SecureGBMError, match="another labels"):
        attempt(own, other, 1 - labels, quick(), key, state=tmp_path)
    with pytest.raises(SecureGBMError, match="another settings"):
        attempt(own, other, labels, quick(n_estimators=5), key, state=tmp_path)


@pytest.mark.parametrize("side", ["label", "feature"])
def test_a_full_disk_is_one_sentence_and_the_run_resumes(side, tables, quick, key, tmp_path, monkeypatch):
    own, other, labels = tables
    real, left = os.replace, [6]

    def replace(source, target):
        if side in str(target) and "tree_" in str(target):
            left[0] -= 1
            if left[0] == 2:
                raise OSError(errno.ENOSPC, "No space left on device")
        real(source, target)

    def run():
        party = FeatureParty(other, POLICY, key, tmp_path / "feature")
        return LabelParty(own, labels, quick(n_estimators=5), LocalChannel(party), key=key, state=tmp_path / "label")

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(SecureGBMError, match="the disk is full; make room and start again"):
        run().train()
    assert not list(tmp_path.rglob("*.part"))
    half = run().train()
    monkeypatch.undo()
    clean = LabelParty(own, labels, quick(n_estimators=5), LocalChannel(FeatureParty(other, POLICY, key)), key=key)
    assert half.to_dict() == clean.train().to_dict()


def test_files_of_the_state_are_private(tmp_path):
    write_atomically(tmp_path / "x", b"1")
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o600


def test_unknown_rows_and_columns_cannot_be_scored(tables, quick, key):
    own, other, labels = tables
    channel = LocalChannel(FeatureParty(other, POLICY, key))
    half = LabelParty(own, labels, quick(), channel, key=key).train()
    stranger = Table(own.values[:2], own.names, ("unknown", "0"))
    predictor = Predictor(half, channel, key)
    scores = {}
    for unknown in ("flag", "hide", "refuse"):
        channel.party.policy = dataclasses.replace(POLICY, unknown=unknown)
        if unknown == "refuse":
            with pytest.raises(ProtocolError, match="answers no batch with rows that not both parties know"):
                predictor.scores(stranger)
        else:
            scores[unknown] = predictor.scores(stranger)
            assert predictor.known.tolist() == [unknown == "hide", True]
    assert np.array_equal(scores["flag"], scores["hide"])
    missing = channel.party.half(half.run).decide(np.full((1, 4), np.nan))
    assert scores["flag"][0, 0] == half.scores(own.values[:1], missing)[0, 0]
    with pytest.raises(SecureGBMError, match="trained on columns"):
        Predictor(half, channel, key).scores(Table.of(own.values[:, :2]))


def test_halves_of_different_runs_do_not_predict(tables, quick, key):
    own, other, labels = tables
    one, two = (LocalChannel(FeatureParty(other, POLICY, key)) for _ in range(2))
    half = LabelParty(own, labels, quick(), one, key=key).train()
    LabelParty(own, 1 - labels, quick(learning_rate=0.9), two, key=key).train()
    with pytest.raises(SecureGBMError, match="different runs"):
        Predictor(half, two, key).scores(own)


def both_say(own, other, labels, config, key, tmp_path, **more):
    """What either side says of a run that fails: the label party's error and the feature party's sentences."""
    told = []
    party = FeatureParty(other, POLICY, key, tmp_path / "b", tell=told.append)
    with pytest.raises(SecureGBMError) as error:
        LabelParty(own, labels, config, LocalChannel(party), key=key, **more).train()
    return str(error.value), told


def test_both_sides_say_why_a_run_ended(tables, quick, key, tmp_path):
    own, other, labels = tables
    short = Table(other.values[:-1], other.names, other.ids[:-1])
    turned = Table(other.values[::-1], other.names, other.ids[::-1])
    constant = Table(np.ones_like(other.values), other.names, other.ids)
    for table, more, what in (
        (short, {}, "numbers of rows differ"),
        (turned, {}, "order differ"),
        (constant, {}, "every column of the feature party is constant"),
    ):
        said, told = both_say(own, table, labels, quick(), key, tmp_path, **more)
        assert what in said
        assert len(told) == 1
        assert what in told[0]
        assert "\n" not in told[0]


def test_a_fault_at_the_label_party_is_told_to_the_feature_party(tables, quick, key, tmp_path, monkeypatch):
    own, other, labels = tables
    real = os.replace

    def replace(source, target):
        if "tree_" in str(target) and f"{os.sep}a{os.sep}" in str(target):
            raise OSError(errno.ENOSPC, "No space left on device")
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    said, told = both_say(own, other, labels, quick(), key, tmp_path, state=tmp_path / "a")
    assert "the disk is full" in said
    assert len(told) == 1
    assert told[0].startswith("the label party ended the session: cannot write tree_00000")


@pytest.mark.parametrize("side", ["label", "feature"])
def test_a_full_disk_under_the_message_log_is_one_sentence_on_both_sides(side, tables, quick, key, tmp_path, monkeypatch):
    from securegbm.state import store
    from securegbm.wire.audit import MessageLog

    own, other, labels = tables
    told = []
    logs = {name: MessageLog(tmp_path / name / "messages.jsonl", name) for name in ("label", "feature")}
    party = FeatureParty(other, POLICY, key, log=logs["feature"], tell=told.append)
    real, left = os.fdopen, [6]

    def fdopen(descriptor, mode):
        if side in os.readlink(f"/proc/self/fd/{descriptor}"):
            left[0] -= 1
            if left[0] < 0:
                os.close(descriptor)
                raise OSError(errno.ENOSPC, "No space left on device")
        return real(descriptor, mode)

    monkeypatch.setattr(store.os, "fdopen", fdopen)
    with pytest.raises(SecureGBMError, match=r"cannot write messages\.jsonl: the disk is full"):
        LabelParty(own, labels, quick(), LocalChannel(party), key=key, log=logs["label"]).train()
    assert len(told) == 1
    assert "cannot write messages.jsonl: the disk is full" in told[0]


def test_a_worker_process_that_dies_is_one_sentence_on_both_sides(tables, quick, key):
    import signal
    import time

    own, other, labels = tables
    told, policy = [], FeaturePolicy(workers=1, allow_toy=True, ring="seal")
    party = FeatureParty(other, policy, key, tell=told.append)

    class Murderous(LocalChannel):
        def call(self, data):
            reply = super().call(data)
            if peek(data)[0] == Kind.TREE:
                pool = party._run._sums._workers._pools[0]
                pool.submit(time.sleep, 0).result()
                for pid in list(pool._processes):
                    os.kill(pid, signal.SIGKILL)
            return reply

    with pytest.raises(SecureGBMError, match="a worker process died"):
        LabelParty(own, labels, quick(encryption="toy"), Murderous(party), key=key, ring="seal").train()
    assert len(told) == 1
    assert "a worker process died" in told[0]


def test_logs_are_private_and_hold_no_payload_id_or_key(tables, quick, key, tmp_path):
    from securegbm.wire.audit import MessageLog

    own, other, labels = tables
    named = Table(own.values, own.names, tuple(f"customer-{i}" for i in range(300)))
    other = Table(other.values, other.names, named.ids)
    paths = [tmp_path / "a.jsonl", tmp_path / "b.jsonl"]
    party = FeatureParty(other, POLICY, key, log=MessageLog(paths[1], "feature"))
    half = LabelParty(
        named, labels, quick(), LocalChannel(party), key=key, log=MessageLog(paths[0], "label"), label_name="default"
    ).train()
    value = repr(half.trees[0].value[0])
    for path in paths:
        assert path.stat().st_mode & 0o777 == 0o600
        text = path.read_text()
        assert not [secret for secret in ("customer", key.decode(), key.hex(), value, "default", "nonce") if secret in text]
        assert max(map(len, text.splitlines())) < 700


def test_constant_columns_are_named():
    table = Table.of([[1.0, 2.0, np.nan], [1.0, 3.0, np.nan]], ["a", "b", "c"])
    assert table.constant_columns() == ["a", "c"]


@pytest.mark.parametrize("change", ["a category more", "columns in another order", "a column more"])
def test_a_model_is_not_served_from_a_table_that_reads_otherwise(change, quick, key, tmp_path):
    """A feature party that came back with this month's file answered with the numbers of other categories and columns."""
    rng = np.random.default_rng(0)
    kind, x, own = rng.choice(["a", "c"], 120), rng.normal(size=120), rng.normal(size=120)
    frame = pandas.DataFrame({"id": map(str, range(120)), "kind": kind, "x": x})
    frame.to_csv(tmp_path / "b.csv", index=False)
    mine, policy = Table.of(own[:, None]), FeaturePolicy(allow_plain=True)

    def party():
        return FeatureParty(Table.read(tmp_path / "b.csv", "id")[0], policy, key, tmp_path / "state")

    label = LabelParty(mine, 2.0 * (kind == "c") + x > 1, quick(), LocalChannel(party()), key=key)
    half = label.train()
    before = Predictor(half, LocalChannel(party()), key).scores(mine)
    more = frame.assign(kind=np.where(np.arange(120) == 0, "b", kind))
    new = {"a category more": more, "columns in another order": frame[["id", "x", "kind"]],
           "a column more": frame.assign(more=own)}[change]  # fmt: skip
    new.to_csv(tmp_path / "b.csv", index=False)
    with pytest.raises(SecureGBMError, match="other columns than the model was trained on, or other categories"):
        Predictor(half, LocalChannel(party()), key).scores(mine)
    frame.to_csv(tmp_path / "b.csv", index=False)
    assert np.array_equal(Predictor(half, LocalChannel(party()), key).scores(mine), before)


def test_a_serving_table_that_reads_otherwise_is_refused_within_a_session(quick, key, tmp_path):
    values = np.random.default_rng(0).normal(size=(120, 2))
    mine, policy = Table.of(values[:, :1]), FeaturePolicy(allow_plain=True)
    theirs = Table.of(values[:, 1:], ["x"])
    party = FeatureParty(theirs, policy, key)
    half = LabelParty(mine, values[:, 1] > 0, quick(), LocalChannel(party), key=key).train()
    predictor = Predictor(half, LocalChannel(party), key)
    predictor.scores(mine)
    party.serve(dataclasses.replace(theirs, rules={"x": {"kind": "category", "values": ["a", "b"]}}))
    with pytest.raises(SecureGBMError, match="other categories"):
        predictor.scores(mine)
