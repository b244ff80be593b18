"""Three parties from raw files to scores: wrong partners, another order, a party that restarts, a half of another run."""

import _thread
import json
import signal
import threading
import urllib.request

import numpy as np
import pandas
import pytest
from conftest import make_columns
from parties import Group

from claimkit.testing.ports import free_port
from securegbm.align import tables
from securegbm.app.links import LOOPBACK_SECRET
from securegbm.app.scoring import ScoringServer, score
from securegbm.cli import main
from securegbm.errors import SecureGBMError
from securegbm.feature_party.party import FeatureParty
from securegbm.feature_party.policy import FeaturePolicy
from securegbm.label_party.predict import Predictor
from securegbm.tables.binning import BinConfig
from securegbm.tables.table import Table
from securegbm.trees.growth import GrowthConfig
from securegbm.wire.channel import LocalChannel, Partner
from securegbm.wire.messages import Kind, peek
from securegbm.wire.server import Server

LOOPBACK = "--insecure-loopback"


@pytest.fixture
def aligned(tmp_path, monkeypatch):
    """`aligned(a, b)`: the rows that a.csv and b.csv share, by both sides of the command; c is a further party."""
    monkeypatch.chdir(tmp_path)
    real = tables.time.sleep
    monkeypatch.setattr(tables.time, "sleep", lambda seconds: real(min(seconds, 0.05)))

    def align(one, other, name="b"):
        address = f"127.0.0.1:{free_port()}"
        words = ["align", "--side", "party-b", "--data", f"{other}.csv", "--out", f"{other}.csv", "--address", address]
        thread = threading.Thread(target=main, args=([*words, LOOPBACK, "--state", f"party-{name}"],), daemon=True)
        thread.start()
        way = ["--address", address] if name == "b" else ["--more", f"party-{name}={address}"]
        main(["align", "--data", f"{one}.csv", "--out", f"{one}.csv", *way, LOOPBACK])
        thread.join()

    return align


def test_three_tables_are_aligned_in_turn_and_once_more(aligned, tmp_path, capsys):
    rng = np.random.default_rng(0)
    held = {name: [f"c{i}" for i in rng.permutation(60) if i % 7 != skip] for name, skip in (("a", 0), ("b", 1), ("c", 2))}
    for name, ids in held.items():
        (tmp_path / f"{name}.csv").write_text("id,x\n" + "".join(f"{one},{int(one[1:]) / 2}\n" for one in ids))
    aligned("a", "b")
    aligned("a", "c", "c")
    ids = {name: pandas.read_csv(f"{name}.csv")["id"].tolist() for name in "abc"}
    common = set.intersection(*map(set, held.values()))
    assert ids["a"] == ids["c"] == sorted(common)
    assert set(ids["b"]) > common
    aligned("a", "b")
    for name in "abc":
        frame = pandas.read_csv(f"{name}.csv")
        assert frame["id"].tolist() == sorted(common)
        assert (frame["x"] * 2 == frame["id"].str[1:].astype(int)).all()
    capsys.readouterr()
    main(["audit", "--log", "party-a/messages-party-c.jsonl", "--verify", "--against", "party-c/messages.jsonl"])
    assert "both logs agree" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["align", "--data", "a.csv", "--out", "x.csv", "--more", "party-c=h:1", "party-d=h:2", LOOPBACK])
    assert "align with each in turn" in capsys.readouterr().err


def test_a_third_table_that_was_not_aligned_is_named(quick):
    values, labels, _ = make_columns(60, 3)
    group = Group(values, labels, quick())
    table = group.tables[2]
    other = FeatureParty(Table(table.values[::-1], table.names, table.ids[::-1]), FeaturePolicy(allow_plain=True), b"1")
    group.partners[1] = Partner(LocalChannel(other), b"1", "partner-1")
    with pytest.raises(SecureGBMError, match=r"^partner-1: .*the ids or their order differ"):
        group.train()


@pytest.fixture
def twins(tmp_path, quick):
    """Two feature parties with as many columns, and with as many splits in every tree."""
    values = np.random.default_rng(4).normal(size=(400, 4))
    labels = ((values[:, 2] > 0) & (values[:, 3] > 0.3)) * 1.0
    config = quick(n_estimators=2, growth=GrowthConfig(3), bins=BinConfig(15))
    return Group(values, labels, config, (0, 2, 3, 4), folder=tmp_path)


def request(table, rows):
    named = [dict(zip(table.names, row, strict=True)) for row in table.values.tolist()]
    return {"rows": [{"id": table.ids[i], "values": named[i]} for i in rows]}


def test_partners_in_another_order_are_refused_even_if_their_splits_look_alike(twins):
    half, others = twins.train()
    assert [split.tree for split in others[0].splits] == [split.tree for split in others[1].splits] == [0, 1]
    right = score(Predictor(half, twins.partners), request(twins.tables[0], range(9)))
    assert len(set(right["predictions"])) > 1
    crossed = [Partner(twins.partners[1 - n].channel, b"%d" % (1 - n), f"partner-{n}") for n in range(2)]
    with pytest.raises(SecureGBMError, match="the half of partner-0 is not the one"):
        Predictor(half, crossed).scores(twins.tables[0])
    twice = Partner(twins.partners[0].channel, b"0", "partner-1")
    with pytest.raises(SecureGBMError, match="the half of partner-1 is not the one"):
        Predictor(half, [twins.partners[0], twice]).scores(twins.tables[0])


def test_partners_in_another_order_do_not_go_on_with_a_run(twins):
    def stop(report):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        twins.train(on_tree=stop)
    straight = twins.partners
    twins.partners = [Partner(straight[1 - n].channel, b"%d" % (1 - n), f"partner-{n}") for n in range(2)]
    with pytest.raises(SecureGBMError, match=r"^partner-0: .*trees of this run are not the same at both parties"):
        twins.train()
    twins.partners = straight
    assert len(twins.train()[0].trees) == 2


def test_a_partner_of_another_run_is_refused(twins, tmp_path):
    """The second party's trees are of a run of its own: another model of the same shape under the same name."""
    half, _ = twins.train()
    values = np.hstack([table.values for table in twins.tables])
    foreign = Group(values, 1 - twins.labels, twins.config, (0, 2, 3, 4), tmp_path / "f")
    other, _ = foreign.train()
    mixed = [twins.partners[0], foreign.partners[1]]
    for model in (half, other):
        with pytest.raises(SecureGBMError, match="serves no finished model of that run"):
            Predictor(model, mixed).scores(twins.tables[0])
    runs = tmp_path / "f" / "b1" / "runs"
    (runs / other.run.hex()).rename(runs / half.run.hex())
    stolen = FeatureParty(twins.tables[2], twins.parties[1].policy, b"1", tmp_path / "f" / "b1")
    with pytest.raises(SecureGBMError, match="the half of partner-1 is not the one"):
        Predictor(half, [twins.partners[0], Partner(LocalChannel(stolen), b"1", "partner-1")]).scores(twins.tables[0])


def test_partners_that_restart_while_scores_are_served_answer_the_same(twins):
    half, _ = twins.train()
    predictor, asked = Predictor(half, twins.partners), request(twins.tables[0], range(20))
    before = score(predictor, asked)
    for lost in ((1,), (0, 1)):
        for number in lost:
            party = twins.parties[number]
            vars(party).update(vars(FeatureParty(party.table, party.policy, b"%d" % number, twins.folder / f"b{number}")))
        assert score(predictor, asked) == before


def test_an_interruption_is_told_to_all_and_waits_for_nobody(tmp_path, quick, monkeypatch):
    """Ctrl-C while one partner hangs: the other hears one sentence, and the same run goes on afterwards."""
    monkeypatch.setattr("securegbm.label_party.partners.FAREWELL", 0.5)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where a shell started it in the background
    goes_on, waited, values = threading.Event(), [], np.random.default_rng(4).normal(size=(200, 4))

    def fault(number, data):
        if number == 1 and peek(data)[0] in (Kind.SUMS, Kind.ABORT):
            waited.append(goes_on.wait(120))
        elif peek(data)[0] == Kind.SUMS and not goes_on.is_set():
            _thread.interrupt_main()

    config = quick(n_estimators=2, growth=GrowthConfig(3), bins=BinConfig(15))
    group = Group(values, (values[:, 2] > values[:, 3]) * 1.0, config, (0, 2, 3, 4), tmp_path, fault)
    try:
        with pytest.raises(KeyboardInterrupt):
            group.train()
    finally:
        signal.signal(signal.SIGINT, before)
    assert not waited
    assert group.told == [(0, "the label party ended the session: it was interrupted there; the run goes on when the label "
                              "party starts it again")]  # fmt: skip
    goes_on.set()
    assert len(group.train()[0].trees) == 2


def test_scores_of_three_parties_are_served_by_the_command(quick, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    values, labels, _ = make_columns(200, 3)
    cuts, servers = {"b": slice(3, 5), "c": slice(5, 8)}, []
    frame = pandas.DataFrame(values, columns=list("abcdefgh")).assign(id=[f"c{i}" for i in range(200)], label=labels)
    frame[["id", "label", *"abc"]].to_csv("a.csv", index=False)
    for name, cut in cuts.items():
        table = Table(values[:, cut], tuple("abcdefgh"[cut]), tuple(frame["id"]))
        party = FeatureParty(table, FeaturePolicy(allow_plain=True), LOOPBACK_SECRET, tmp_path / name)
        servers.append(Server(party, "127.0.0.1:0", insecure_loopback=True))
    ways = [f"127.0.0.1:{server.port}" for server in servers]
    way, back = (["--address", one, "--more", f"party-c={other}", LOOPBACK] for one, other in (ways, ways[::-1]))
    table = Table(np.nan_to_num(values[:, :3]), tuple("abc"), tuple(frame["id"]))
    rows = [*request(table, np.flatnonzero(~np.isnan(values[:, 2]))[:9])["rows"], {"id": "nobody", "values": {}}]

    def once(server):
        thread = threading.Thread(target=ScoringServer.serve_until, args=(server,))
        thread.start()
        try:
            url = f"http://127.0.0.1:{server.server_address[1]}/score"
            with urllib.request.urlopen(urllib.request.Request(url, json.dumps({"rows": rows}).encode())) as answer:
                found.append(json.loads(answer.read()))
        except urllib.error.HTTPError as error:
            with error:
                found.append(json.loads(error.read()))
        finally:
            server.shutdown()
            thread.join()

    found = []
    monkeypatch.setattr(ScoringServer, "serve_until", ScoringServer.serve_forever, raising=False)
    monkeypatch.setattr(ScoringServer, "serve_forever", once)
    try:
        main(["party-a", "train", "--data", "a.csv", *way, "--encryption", "none", "--trees", "3", "--max-bin", "15"])
        main(["party-a", "predict", "--data", "a.csv", "--out", "p.csv", *way])
        for order in (way, back):
            main(["party-a", "serve", "--listen", "127.0.0.1:0", *order])
        with pytest.raises(SystemExit):
            main(["party-a", "predict", "--data", "a.csv", "--out", "q.csv", *back])
        (tmp_path / "moved.json").write_bytes((tmp_path / "party-a" / "model.json").read_bytes())
        run = (tmp_path / "party-a" / "model.json").resolve().parent.name
        with pytest.raises(SystemExit):
            main(["party-a", "predict", "--data", "a.csv", "--out", "q.csv", "--model", "moved.json", "--run", run, *way])
    finally:
        for server in servers:
            server.stop()
    predicted = pandas.read_csv("p.csv", index_col="id")["prediction"]
    assert found[0]["predictions"][:9] == pytest.approx(predicted[[row["id"] for row in rows[:9]]].tolist())
    assert found[0]["incomplete"] == [9]
    assert "the half of party-b is not the one" in found[1]["error"]
    said = capsys.readouterr().err.splitlines()
    assert "the half of party-b is not the one" in said[-2]
    assert "so their order cannot be checked" in said[-1]
    assert not (tmp_path / "q.csv").exists()
