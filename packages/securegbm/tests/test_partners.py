"""Several feature parties: one model, LightGBM's own; a lost partner is named, a run goes on with all."""

import json

import lightgbm
import numpy as np
import pandas
import pytest
from conftest import make_columns
from parties import Group

from securegbm.cli import main
from securegbm.errors import SecureGBMError, UnreachableError
from securegbm.feature_party.party import FeatureParty
from securegbm.feature_party.policy import FeaturePolicy
from securegbm.label_party.party import LabelParty
from securegbm.label_party.predict import Predictor
from securegbm.model.contributions import contributions
from securegbm.model.export import to_lightgbm_text
from securegbm.model.parity import compare, reference_model
from securegbm.tables.table import Table
from securegbm.wire.channel import Partner
from securegbm.wire.messages import Kind, peek
from securegbm.wire.server import Server

CUTS = {"three parties": (0, 3, 5, 8), "four parties": (0, 2, 3, 6, 8)}


@pytest.mark.parametrize("settings", [{}, {"encryption": "toy"}, {"encryption": "toy", "hide_instances": True}],
                         ids=["clear", "encrypted", "hidden"])  # fmt: skip
@pytest.mark.parametrize("cuts", CUTS, ids=str)
def test_every_split_equals_lightgbm_on_the_joined_table(cuts, settings, quick):
    values, labels, _ = make_columns(500, 3)
    config = quick(n_estimators=2 if settings else 6, **settings)
    half, others = Group(values, labels, config, CUTS[cuts]).train()
    found = compare(half, others, reference_model(values, labels, config), values)
    assert (found.mismatches, found.splits) == (0, 6 * config.n_estimators)
    assert found.largest_difference < 1e-12
    assert sum(bool(other.splits) for other in others) >= 2


def test_predictions_shares_and_importances_of_all(quick):
    values, labels, _ = make_columns(400, 3)
    group = Group(values, labels, quick(n_estimators=6))
    half, others = group.train()
    booster = lightgbm.Booster(model_str=to_lightgbm_text(half, others, consent=True))
    raw = np.asarray(booster.predict(values, raw_score=True))
    for path_only in (False, True):
        assert np.array_equal(Predictor(half, group.partners, path_only=path_only).scores(group.tables[0])[0], raw)
    found = Predictor(half, group.partners).contributions(group.tables[0])
    assert np.allclose(found[0], booster.predict(values, pred_contrib=True), atol=1e-10)
    assert half.all_names[3:] == ["partner-0 #0", "partner-0 #1", *(f"partner-1 #{i}" for i in range(3))]
    gains = booster.feature_importance("gain")
    shares = half.importance()["by_party"]
    assert list(shares) == ["label", "partner-0", "partner-1"]
    for name, part in zip(shares, (slice(0, 3), slice(3, 5), slice(5, 8)), strict=True):
        assert shares[name] == pytest.approx(gains[part].sum())
    read = type(half).from_dict(json.loads(json.dumps(half.to_dict())))
    none = np.zeros((400, len(half.other_nodes)), dtype=bool)
    assert np.array_equal(contributions(read, values[:, :3], none), contributions(half, values[:, :3], none))
    for wrong, sentence in ((others[:1], "bring their halves"), (others[::-1], "bring their halves")):
        with pytest.raises(SecureGBMError, match=sentence):
            to_lightgbm_text(half, wrong, consent=True)
    with pytest.raises(SecureGBMError, match="is of 2 feature parties"):
        Predictor(half, group.partners[:1])


@pytest.mark.parametrize("kind", [Kind.TREE, Kind.SUMS, Kind.SPLIT, Kind.COMMIT, Kind.FINISH], ids=lambda kind: kind.name)
def test_a_lost_partner_is_named_and_the_run_goes_on_with_all(kind, quick, tmp_path):
    """The second partner is lost before a message; the first one may be a tree ahead then."""
    values, labels, _ = make_columns(300, 3)
    whole, _ = Group(values, labels, quick()).train()
    lost = [kind != Kind.FINISH, True]

    def fault(number, data):
        what, tree, _ = peek(data)
        if number == 1 and what == kind and tree != 0 and lost[1]:
            lost[1] = False
            raise UnreachableError("nobody answers")

    group = Group(values, labels, quick(), folder=tmp_path, fault=fault)
    with pytest.raises(UnreachableError, match=r"^partner-1: nobody answers$"):
        group.train()
    assert [number for number, _ in group.told] == [0]
    assert group.told[0][1].endswith(
        "another party left or cannot be reached; the run goes on when the label party starts again"
    )
    half, _ = group.train()
    assert [tree.to_dict() for tree in half.trees] == [tree.to_dict() for tree in whole.trees]
    lasts = {party.store(half.run).last() for party in group.parties}
    ours = group.label()._store.last()
    assert {ours[:64], ours[64:]} == lasts
    assert len(lasts) == 2


def test_a_partner_that_lost_its_trees_is_named_and_rolled_back_only_when_asked(quick, tmp_path):
    import shutil

    values, labels, _ = make_columns(300, 3)

    def stop(report):
        if report.tree == 1:
            raise KeyboardInterrupt

    group = Group(values, labels, quick(), folder=tmp_path)
    with pytest.raises(KeyboardInterrupt):
        group.train(on_tree=stop)
    run = group.label().run
    for path in (tmp_path / "b1" / "runs" / run.hex()).glob("tree_00001*"):
        path.unlink()
    with pytest.raises(SecureGBMError, match=r"^partner-1: the feature party holds 1 of the 2 trees"):
        Group(values, labels, quick(), folder=tmp_path).train()
    half, _ = Group(values, labels, quick(), folder=tmp_path).train(roll_back=True)
    whole, _ = Group(values, labels, quick()).train()
    assert [tree.to_dict() for tree in half.trees] == [tree.to_dict() for tree in whole.trees]
    shutil.rmtree(tmp_path / "b0")
    with pytest.raises(SecureGBMError, match=r"^partner-0: .* is finished and stays as it is"):
        Group(values, labels, quick(), folder=tmp_path).train()


def test_a_partner_that_lies_is_named_and_the_others_are_told(quick, monkeypatch):
    values, labels, _ = make_columns(300, 3)
    group = Group(values, labels, quick())
    real = FeatureParty._answer_within

    def lie(party, message):
        fields, parts = real(party, message)
        if party is group.parties[1] and message.kind == Kind.SUMS:
            parts = [bytes(len(part)) for part in parts]
        return fields, parts

    monkeypatch.setattr(FeatureParty, "_answer_within", lie)
    with pytest.raises(SecureGBMError, match=r"^partner-1: the sums of a column"):
        group.train()
    assert all("partner-1: the sums of a column" in sentence for _, sentence in group.told)
    assert {number for number, _ in group.told} == {0, 1}


def test_partners_have_names_of_their_own(quick):
    values, labels, _ = make_columns(100, 3)
    group = Group(values, labels, quick())
    group.partners[1] = Partner(group.partners[1].channel, b"1", "partner-0")
    with pytest.raises(SecureGBMError, match="give each a name of its own"):
        group.label()


def test_three_parties_by_the_command_line(quick, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    values, labels, _ = make_columns(200, 3)
    ids = [f"c{i}" for i in range(200)]
    frame = pandas.DataFrame(values, columns=list("abcdefgh")).assign(id=ids, label=labels)
    frame[["id", "label", *"abc"]].to_csv("a.csv", index=False)
    from securegbm.app.links import LOOPBACK_SECRET
    from securegbm.wire.audit import MessageLog

    servers = []
    for name, columns in (("b", "de"), ("c", "fgh")):
        table = Table(frame[[*columns]].to_numpy(), tuple(columns), tuple(ids))
        log = MessageLog(tmp_path / name / "messages.jsonl", "feature")
        party = FeatureParty(table, FeaturePolicy(allow_toy=True), LOOPBACK_SECRET, tmp_path / name, log,
                             parties="insecure loopback")  # fmt: skip
        servers.append(Server(party, "127.0.0.1:0", insecure_loopback=True))
    first, second = (f"127.0.0.1:{server.port}" for server in servers)
    way = ["--address", first, "--more", f"party-c={second}", "--insecure-loopback"]
    try:
        main(["party-a", "train", "--data", "a.csv", *way, "--encryption", "toy", "--workers", "0", "--trees", "3",
              "--num-leaves", "7", "--max-bin", "15"])  # fmt: skip
        out = capsys.readouterr().out
        assert "gain by party: label" in out and "party-b" in out and "party-c" in out
        main(["party-a", "predict", "--data", "a.csv", "--out", "p.csv", *way])
        with pytest.raises(SystemExit):
            main(["party-a", "predict", "--data", "a.csv", "--out", "q.csv", *way[:2], "--insecure-loopback"])
        assert "is of 2 feature parties" in capsys.readouterr().err
        with pytest.raises(SystemExit):
            main(["party-a", "predict", "--data", "a.csv", "--out", "q.csv", *way[:2], "--more", "x", "--insecure-loopback"])
        assert "is no NAME=HOST:PORT" in capsys.readouterr().err
        with pytest.raises(SystemExit):
            main(["party-a", "train", "--data", "a.csv", *way[:2], "--more", f"party-c={first}", "--insecure-loopback"])
        assert f"two feature parties have the address {first}" in capsys.readouterr().err
    finally:
        for server in servers:
            server.stop()
    main(["export", "--feature-half", "b", "c", "--out", "joint.txt", "--i-consent"])
    joint = lightgbm.Booster(model_file=str(tmp_path / "joint.txt"))
    assert np.allclose(joint.predict(values), pandas.read_csv("p.csv")["prediction"], atol=1e-12)
    capsys.readouterr()
    for own, theirs in (("messages", "b"), ("messages-party-c", "c")):
        main(["audit", "--log", f"party-a/{own}.jsonl", "--verify", "--against", f"{theirs}/messages.jsonl"])
        assert "both logs agree" in capsys.readouterr().out


def test_trees_are_added_to_a_finished_run_of_all(quick, tmp_path):
    import dataclasses

    values, labels, _ = make_columns(300, 3)
    config = quick(n_estimators=2)
    group = Group(values, labels, config, folder=tmp_path)
    group.train()
    before = group.label()._store
    longer = Group(values, labels, dataclasses.replace(config, n_estimators=4), folder=tmp_path)
    party = LabelParty(longer.tables[0], labels, longer.config, longer.partners, state=tmp_path / "more", continues=before)
    half = party.train()
    whole, _ = Group(values, labels, longer.config).train()
    assert [tree.to_dict() for tree in half.trees] == [tree.to_dict() for tree in whole.trees]
    assert party.run.hex() != before.bound["run"]
    for feature in longer.parties:
        assert feature.store(party.run).finished == 4
