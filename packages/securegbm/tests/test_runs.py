"""A run has an identity: whatever is interrupted, lost or begun in between, trees of two runs never meet."""

import itertools
import json
import shutil

import numpy as np
import pytest

from securegbm.errors import SecureGBMError
from securegbm.feature_party.party import FeatureParty
from securegbm.feature_party.policy import FeaturePolicy
from securegbm.label_party.party import LabelParty
from securegbm.label_party.predict import Predictor
from securegbm.state.registry import Registry
from securegbm.state.store import TreeStore
from securegbm.tables.table import Table
from securegbm.wire.audit import MessageLog, read_log
from securegbm.wire.channel import LocalChannel
from securegbm.wire.proof import check_chain, compare

POLICY = FeaturePolicy(allow_plain=True)


class StoppedError(Exception):
    """The run is interrupted here."""


class Two:
    """Two companies with their folders; January's and February's labels hang on different columns."""

    def __init__(self, folder, quick, key, classes=1):
        values = np.random.default_rng(0).normal(size=(160, 5))
        self.mine, self.theirs = Table.of(values[:, :2]), Table.of(values[:, 2:])
        self.labels = {"jan": (values[:, 2] > 0) * 1.0, "feb": (values[:, 3] + values[:, 4] > 0) * 1.0}
        self.folder, self.quick, self.key = folder, quick, key

    def party(self, **more):
        return FeatureParty(self.theirs, more.pop("policy", POLICY), self.key, self.folder / "b", **more)

    def label(self, name, trees=5, stop=None, **more):
        def on_tree(report):
            if report.tree + 1 == stop:
                raise StoppedError

        config, month = self.quick(n_estimators=trees), more.pop("month", name.split("-")[0])
        state = more.pop("state", self.folder / name)
        channel = LocalChannel(more.pop("party", None) or self.party())
        return LabelParty(self.mine, self.labels[month], config, channel, key=self.key, state=state, on_tree=on_tree, **more)

    def clean(self, name, trees=5):
        party = FeatureParty(self.theirs, POLICY, self.key)
        half = LabelParty(self.mine, self.labels[name], self.quick(n_estimators=trees), LocalChannel(party)).train()
        return half.to_dict(), party


@pytest.fixture
def two(tmp_path, quick, key):
    """`Two`, without party keys."""
    return Two(tmp_path, quick, b"")


@pytest.mark.parametrize(
    ("interrupted", "foreign", "lost", "second"),
    list(itertools.product((0, 3), (False, True), ("nothing", "label", "feature"), (False, True))),
)
def test_no_run_ever_takes_a_tree_of_another(two, interrupted, foreign, lost, second):
    """Interrupt x foreign run under the same name x lost state x second job: the right model, or one sentence."""
    if interrupted:
        with pytest.raises(StoppedError):
            two.label("jan", stop=interrupted).train()
    if foreign:
        two.label("feb").train()
    if second:
        two.label("jan-second", job="second").train()
    if lost == "label":
        shutil.rmtree(two.folder / "jan", ignore_errors=True)
    if lost == "feature":
        shutil.rmtree(two.folder / "b", ignore_errors=True)
    wanted, _ = two.clean("jan")
    if interrupted and lost == "feature":
        with pytest.raises(SecureGBMError, match=r"holds 0 of the 3 trees of run .* with --roll-back"):
            two.label("jan").train()
        half = two.label("jan", roll_back=True).train()
    else:
        half = two.label("jan").train()
    assert half.to_dict() == wanted
    scores = Predictor(half, LocalChannel(two.party()), two.key).scores(two.mine)
    assert np.array_equal(scores[0] > 0, two.labels["jan"] > 0.5)


def test_every_committed_tree_carries_one_transcript_hash_at_both_parties(two):
    label = two.label("jan")
    label.train()
    ours, theirs = TreeStore(two.folder / "jan"), TreeStore(Registry(two.folder / "b").folder(label.run))
    assert [record["last"] for record in ours.records] == [record["last"] for record in theirs.records]
    assert len({record["last"] for record in ours.records}) == 5
    assert ours.bound["run"] == theirs.bound["run"] == label.run.hex()


def test_a_tree_from_another_run_is_noticed_where_it_lies(two):
    two.label("jan").train()
    two.label("feb").train()
    shutil.copy(two.folder / "feb" / "tree_00002.json", two.folder / "jan" / "tree_00002.json")
    with pytest.raises(SecureGBMError, match="is not the tree that followed"):
        two.label("jan")
    (two.folder / "feb" / "tree_00001.npy").write_bytes(b"junk")
    with pytest.raises(SecureGBMError, match=r"tree_00001\.npy is damaged"):
        two.label("feb")
    (two.folder / "feb" / "job.json").unlink()
    (two.folder / "feb" / "tree_00001.npy").unlink()
    with pytest.raises(SecureGBMError, match=r"job\.json is missing beside the trees"):
        two.label("feb")


def test_another_runs_folder_in_the_place_of_this_one_is_refused_on_both_sides(two):
    """January's trees at B are replaced by February's under January's id: the hashes differ, both stop."""
    with pytest.raises(StoppedError):
        two.label("jan", stop=3).train()
    february = two.label("feb")
    february.train()
    registry = Registry(two.folder / "b")
    own = registry.folder(TreeStore(two.folder / "jan").bound and bytes.fromhex(TreeStore(two.folder / "jan").bound["run"]))
    for path in registry.folder(february.run).glob("tree_*.json"):
        shutil.copy(path, own / path.name)
    told = []
    with pytest.raises(SecureGBMError, match="not the same at both parties; restore the state folder"):
        two.label("jan", party=two.party(tell=told.append)).train()
    assert len(told) == 1


@pytest.mark.parametrize("change", ["table", "policy", "settings", "labels", "parties"])
def test_a_run_is_bound_to_its_table_bins_settings_labels_and_keys(two, change):
    with pytest.raises(StoppedError):
        two.label("jan", stop=2, parties="keys", party=two.party(parties="keys")).train()
    party, more = two.party(parties="keys"), {"parties": "keys"}
    if change == "table":
        two.theirs = Table.of(two.theirs.values + 1e-9)
        party = two.party(parties="keys")
    elif change == "policy":
        party = two.party(parties="keys", policy=FeaturePolicy(allow_plain=True, min_bin_rows=9))
    elif change == "settings":
        more["trees"] = 6
    elif change == "labels":
        more["month"] = "feb"
    else:
        party = two.party(parties="other keys")
    with pytest.raises(SecureGBMError, match=r"was begun with another .*; give the same data"):
        two.label("jan", party=party, **more).train()


def test_a_label_party_that_changed_its_own_files_is_noticed_by_the_feature_party(two):
    with pytest.raises(StoppedError):
        two.label("jan", stop=2).train()
    job = two.folder / "jan" / "job.json"
    held = json.loads(job.read_text())
    held["settings"]["n_estimators"] = 7
    job.write_text(json.dumps(held))
    with pytest.raises(SecureGBMError, match="another binding"):
        two.label("jan", trees=7).train()


def test_a_finished_run_is_never_shortened(two):
    label = two.label("jan")
    half = label.train()
    before = (Registry(two.folder / "b").folder(label.run) / "model.json").read_bytes()
    assert two.label("jan").train().to_dict() == half.to_dict()
    with pytest.raises(SecureGBMError, match="another settings \\(n_estimators\\)"):
        two.label("jan", trees=3)
    (two.folder / "jan" / "finished.json").unlink()
    (two.folder / "jan" / "tree_00004.json").unlink()
    with pytest.raises(SecureGBMError, match="finished and stays as it is"):
        two.label("jan", roll_back=True).train()
    assert (Registry(two.folder / "b").folder(label.run) / "model.json").read_bytes() == before


def test_trees_added_to_a_finished_run_are_those_of_one_long_run(two):
    first = two.label("jan", trees=3)
    first.train()
    more = two.label("jan-more", continues=TreeStore(two.folder / "jan"))
    half = more.train()
    assert half.to_dict() == two.clean("jan")[0]
    assert more.run != first.run
    assert TreeStore(two.folder / "jan").finished == 3
    old = Predictor(two.label("jan", trees=3).train(), LocalChannel(two.party()), two.key).scores(two.mine)
    new = Predictor(half, LocalChannel(two.party()), two.key).scores(two.mine)
    assert not np.array_equal(old, new)
    with pytest.raises(SecureGBMError, match="ask for more in all"):
        two.label("jan-again", trees=3, continues=TreeStore(two.folder / "jan"))
    shutil.rmtree(Registry(two.folder / "b").folder(first.run))
    with pytest.raises(SecureGBMError, match="holds no run of that id to continue"):
        two.label("jan-third", trees=6, continues=TreeStore(two.folder / "jan")).train()


def test_a_retired_run_answers_nothing_and_an_earlier_one_can_be_used_again(two):
    first, second = two.label("jan"), two.label("jan-second", job="second")
    halves = [first.train(), second.train()]
    registry = Registry(two.folder / "b")
    assert {run.job: run.state for run in registry.runs()} == {"securegbm": "finished", "second": "finished"}
    registry.retire(registry.find("second"))
    with pytest.raises(SecureGBMError, match="serves no finished model of that run"):
        Predictor(halves[1], LocalChannel(two.party()), two.key).scores(two.mine)
    assert Predictor(halves[0], LocalChannel(two.party()), two.key).scores(two.mine).shape == (1, 160)
    with pytest.raises(SecureGBMError, match="is retired; only a finished run can be used"):
        registry.use(registry.find(second.run.hex()[:6]))
    with pytest.raises(SecureGBMError, match="no run or job begins with 'third'"):
        registry.find("third")


@pytest.fixture
def logged(two):
    """Both sides' logs of an interrupted and resumed run and of a prediction."""
    paths = {side: two.folder / f"{side}.jsonl" for side in ("label", "feature")}

    def logs():
        return {side: MessageLog(path, side, f"peer of {side}") for side, path in paths.items()}

    for stop in (2, None):
        log = logs()
        label = two.label("jan", trees=3, stop=stop, party=two.party(log=log["feature"]), log=log["label"])
        if stop:
            with pytest.raises(StoppedError):
                label.train()
        else:
            half = label.train()
    log = logs()
    Predictor(half, LocalChannel(two.party(log=log["feature"])), two.key, log["label"]).scores(two.mine)
    return {side: read_log(path) for side, path in paths.items()}


def test_both_logs_prove_the_same_conversation(logged):
    for lines in logged.values():
        check_chain(lines, "log")
        assert {"time", "run", "transcript", "peer", "chain"} <= set(lines[0])
    (sentence,) = compare(logged["label"], logged["feature"])
    assert sentence.startswith("both logs agree: 3 sessions")
    with pytest.raises(SecureGBMError, match="both logs are of the same side"):
        list(compare(logged["label"], logged["label"]))


@pytest.mark.parametrize("forgery", ["changed", "cut out", "put in", "end cut off", "rechained", "rewritten"])
def test_nothing_can_be_changed_or_cut_out_of_a_log(logged, forgery):
    from securegbm.wire.proof import FIRST, chain

    lines = [dict(line) for line in logged["feature"]]
    if forgery == "changed":
        lines[5]["bytes"] += 1
    elif forgery == "cut out":
        del lines[5]
    elif forgery == "put in":
        lines.insert(5, lines[5])
    elif forgery == "end cut off":
        lines = lines[:-5]
    else:  # who computes every hash anew still does not fit the other side's log
        if forgery == "rechained":
            del lines[5:9]
        else:
            lines[5]["transcript"] = "ab" * 32
        before = FIRST
        for line in lines:
            line["chain"] = before = chain(before, line)
    if forgery in ("changed", "cut out", "put in"):
        with pytest.raises(SecureGBMError, match="was changed, or lines before it were cut out"):
            check_chain(lines, "log")
    else:
        check_chain(lines, "log")
        with pytest.raises(SecureGBMError, match="the logs differ in the session"):
            list(compare(logged["label"], lines))


def test_two_processes_write_one_chain(tmp_path, two):
    from securegbm.wire.messages import Kind, Message

    one, other = (MessageLog(tmp_path / "log.jsonl", "label") for _ in range(2))
    for number in range(6):
        (one if number % 2 else other)("sent", Message(Kind.TREE, bytes(16), number), 9, bytes(32))
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"half": ')
    one("sent", Message(Kind.TREE, bytes(16), 6), 9, bytes(32))
    lines = read_log(tmp_path / "log.jsonl")
    check_chain(lines, "log")
    assert [line["tree"] for line in lines] == list(range(7))
