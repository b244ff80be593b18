"""SIGKILL of either party before and after every kind of message: the model comes out byte for byte the same."""

import json
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from crashing_party import KEY, config

from claimkit.testing.ports import free_port
from securegbm.feature_party.party import FeatureParty
from securegbm.feature_party.policy import FeaturePolicy
from securegbm.label_party.party import LabelParty
from securegbm.label_party.predict import Predictor
from securegbm.state.store import dump_json
from securegbm.tables.table import Table
from securegbm.wire.channel import LocalChannel

SCRIPT = Path(__file__).with_name("crashing_party.py")
ORDER = ["HELLO", "KEYS", "TREE", "SUMS", "SPLIT", "COMMIT", "FINISH", "EVALUATE"]
EVERY = [[kind, moment] for kind in ORDER for moment in ("before", "after")]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The table, and what an uninterrupted run leaves: both halves and the scores."""
    from conftest import make_columns

    values, labels, _ = make_columns(240, 5)
    folder = tmp_path_factory.mktemp("undisturbed")
    values = values[:, [0, 1, 3, 6]]
    party = FeatureParty(Table.of(values[:, 2:]), FeaturePolicy(allow_toy=True), KEY, folder / "b")
    channel = LocalChannel(party)
    half = LabelParty(Table.of(values[:, :2]), labels, config(), channel, key=KEY, state=folder / "a").train()
    scores = Predictor(half, channel, KEY).scores(Table.of(values[:, :2]))
    assert len(half.other_nodes) >= 2
    np.savez(folder / "table.npz", a=values[:, :2], b=values[:, 2:], y=labels)
    return folder, dump_json(scores.tolist())


def start(role, folder, port):
    with (folder / f"{role}.log").open("a") as log:
        return subprocess.Popen([sys.executable, str(SCRIPT), role, str(folder), str(port)], stderr=log)


def prepare(undisturbed, tmp_path, role):
    source = undisturbed[0]
    (tmp_path / "table.npz").write_bytes((source / "table.npz").read_bytes())
    (tmp_path / f"crashes_{role}.json").write_text(json.dumps(EVERY))
    for own in ("a", *(str(run.relative_to(source)) for run in source.glob("b/runs/*"))):
        (tmp_path / own).mkdir(parents=True)
        for name in ("edges.json", "job.json"):
            (tmp_path / own / name).write_bytes((source / own / name).read_bytes())


def check(undisturbed, tmp_path, role):
    source, scores = undisturbed
    (run,) = source.glob("b/runs/*")
    assert json.loads((tmp_path / f"crashes_{role}.json").read_text()) == []
    for model in ("a/model.json", f"b/runs/{run.name}/model.json"):
        assert (tmp_path / model).read_bytes() == (source / model).read_bytes()
    assert (tmp_path / "scores.json").read_bytes() == scores


def test_the_feature_party_dies_at_every_message(undisturbed, tmp_path):
    prepare(undisturbed, tmp_path, "feature")
    port, deaths, stopped = free_port(), [], threading.Event()
    running = [start("feature", tmp_path, port)]

    def keep_alive():
        while not stopped.is_set():
            code = running[0].wait()
            if not stopped.is_set():
                deaths.append(code)
                running[0] = start("feature", tmp_path, port)

    keeper = threading.Thread(target=keep_alive)
    keeper.start()
    try:
        label = start("label", tmp_path, port)
        label.wait(timeout=1200)
    finally:
        stopped.set()
        running[0].kill()
        keeper.join()
    assert label.returncode == 0, (tmp_path / "label.log").read_text()
    assert deaths == [-9] * len(EVERY)
    check(undisturbed, tmp_path, "feature")


def test_the_label_party_dies_at_every_message(undisturbed, tmp_path):
    prepare(undisturbed, tmp_path, "label")
    from crashing_party import feature_party

    port = free_port()
    server = feature_party(tmp_path, port)
    try:
        codes = []
        while not codes or codes[-1] == -9:
            label = start("label", tmp_path, port)
            codes.append(label.wait(timeout=600))
    finally:
        server.stop()
    assert codes == [-9] * len(EVERY) + [0], (tmp_path / "label.log").read_text()
    check(undisturbed, tmp_path, "label")
