"""One party as a process that kills itself at chosen messages; run by test_crash.py.

usage: crashing_party.py ROLE FOLDER PORT
FOLDER holds table.npz and crashes_ROLE.json, a list of [kind, moment] that are taken off as they happen.
"""

import json
import os
import signal
import sys
from pathlib import Path

import numpy as np

from securegbm.config import TrainConfig
from securegbm.feature_party.party import FeatureParty
from securegbm.feature_party.policy import FeaturePolicy
from securegbm.label_party.party import LabelParty
from securegbm.label_party.predict import Predictor
from securegbm.state.store import dump_json, write_atomically
from securegbm.tables.binning import BinConfig
from securegbm.tables.table import Table
from securegbm.trees.growth import GrowthConfig
from securegbm.trees.rules import SplitRules
from securegbm.wire.messages import peek
from securegbm.wire.network import NetworkChannel
from securegbm.wire.server import Server

KEY = b"crash"


def config():
    return TrainConfig(
        n_estimators=4,
        encryption="toy",
        growth=GrowthConfig(3),
        bins=BinConfig(5),
        rules=SplitRules(min_data_in_leaf=5),
        stride=512,
    )


def crash(folder, role, data, moment):
    """Kill this process if its next planned crash is at this message."""
    path = folder / f"crashes_{role}.json"
    planned = json.loads(path.read_text()) if path.exists() else []
    if planned and planned[0] == [peek(data)[0].name, moment]:
        write_atomically(path, json.dumps(planned[1:]).encode())
        os.kill(os.getpid(), signal.SIGKILL)


def feature_party(folder, port):
    table = np.load(folder / "table.npz")

    class Crashing(FeatureParty):
        def handle(self, data):
            crash(folder, "feature", data, "before")
            reply = super().handle(data)
            crash(folder, "feature", data, "after")
            return reply

    party = Crashing(Table.of(table["b"]), FeaturePolicy(allow_toy=True), KEY, folder / "b")
    return Server(party, f"127.0.0.1:{port}", insecure_loopback=True)


def label_party(folder, port):
    table = np.load(folder / "table.npz")
    channel = NetworkChannel(f"127.0.0.1:{port}", insecure_loopback=True, patience=300, deadline=60)

    class Crashing:
        def call(self, data):
            crash(folder, "label", data, "before")
            reply = channel.call(data)
            crash(folder, "label", data, "after")
            return reply

    party = LabelParty(Table.of(table["a"]), table["y"], config(), Crashing(), key=KEY, state=folder / "a")
    half = party.train()
    scores = Predictor(half, Crashing(), KEY).scores(Table.of(table["a"]))
    write_atomically(folder / "scores.json", dump_json(scores.tolist()))


if __name__ == "__main__":
    if sys.argv[1] == "feature":
        feature_party(Path(sys.argv[2]), int(sys.argv[3])).wait()
    else:
        label_party(Path(sys.argv[2]), int(sys.argv[3]))
