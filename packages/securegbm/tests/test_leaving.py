"""Who is interrupted says so to his partners: nobody waits out his patience for a party that was told to end."""

import signal
import subprocess
import threading

import pandas
import pytest
from conftest import make_columns

from claimkit.cli import Terminated
from claimkit.testing import own_process
from securegbm.align.party import AlignParty
from securegbm.errors import PeerError
from securegbm.feature_party.party import FeatureParty
from securegbm.feature_party.policy import FeaturePolicy
from securegbm.label_party.party import LabelParty
from securegbm.tables.table import Table
from securegbm.wire import server as serving
from securegbm.wire.channel import Conversation, LocalChannel
from securegbm.wire.messages import Kind, new_run
from securegbm.wire.network import NetworkChannel
from securegbm.wire.server import Server

FOREVER = 300.0
"""Seconds that no test waits: one that did would be noticed."""


@pytest.mark.parametrize("moment", ["in a call", "between calls", "without a session"])
def test_an_interrupted_server_says_farewell_to_who_is_about_to_ask(moment, monkeypatch):
    monkeypatch.setattr(serving, "FAREWELL", FOREVER)
    called, answered, answers = threading.Event(), threading.Event(), []

    class Party:
        def handle(self, data):
            called.set()
            answered.wait(FOREVER)
            return b"too late"

        def limit(self):
            return 100

        def in_session(self):
            return moment == "between calls"

        def farewell(self):
            return b"farewell"

    def ask():
        if moment == "between calls":
            server._leaving.wait()
        answers.append(channel.call(b"x"))

    server = Server(Party(), "127.0.0.1:0", insecure_loopback=True)
    channel = NetworkChannel(f"127.0.0.1:{server.port}", insecure_loopback=True, patience=FOREVER)
    caller = threading.Thread(target=ask, daemon=True)
    with pytest.raises(KeyboardInterrupt), server:
        if moment != "without a session":
            caller.start()
        if moment == "in a call":
            called.wait()
        raise KeyboardInterrupt
    answered.set()
    if moment != "without a session":
        caller.join()
        assert answers == [b"farewell"]
    channel.close()


def test_who_restarts_a_server_is_waited_for():
    """SIGTERM comes from a supervisor: nothing is said, and the call is answered by the next process."""
    for leaves in (Terminated, ValueError):
        with pytest.raises(leaves), Server(None, "127.0.0.1:0", insecure_loopback=True) as server:
            raise leaves
        assert not server._leaving.is_set()


@pytest.mark.parametrize("kind", ["feature party", "alignment"])
def test_a_farewell_is_read_as_one_sentence(kind):
    table = Table.of(make_columns(30, 1)[0])
    party = FeatureParty(table, key=b"k") if kind == "feature party" else AlignParty(list(table.ids), b"k")
    assert not party.in_session()

    class Channel:
        def call(self, data):
            return party.farewell()

    with pytest.raises(PeerError, match="ended the session: it was interrupted there; start both parties again"):
        Conversation(Channel(), new_run(), b"k").ask(Kind.ALIGN, node=0, parts=[b""])


def test_a_feature_party_waits_for_nobody_after_a_run(quick):
    values, labels, _ = make_columns(200, 3)
    party = FeatureParty(Table.of(values[:, 4:]), FeaturePolicy(allow_plain=True))
    during = []
    label = LabelParty(Table.of(values[:, :4]), labels, quick(), LocalChannel(party),
                       on_tree=lambda report: during.append(party.in_session()))  # fmt: skip
    label.train()
    assert during == [True] * 3
    assert not party.in_session()


def test_ctrl_c_at_one_of_three_processes_ends_the_run_in_a_sentence_at_both_others(tmp_path):
    values, labels, _ = make_columns(300, 3)
    frame = pandas.DataFrame(values, columns=list("abcdefgh")).assign(id=[f"c{i}" for i in range(300)], label=labels)
    pipes, started = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}, []

    def start(*words):
        process = subprocess.Popen(own_process("securegbm", *words, "--insecure-loopback"), cwd=tmp_path, **pipes)
        started.append(process)
        return process

    serve = ["--address", "127.0.0.1:0", "--allow-plain", "--data"]
    for name, columns in (("a", [*"abc", "label"]), ("b", [*"de"]), ("c", [*"fgh"])):
        frame[["id", *columns]].to_csv(tmp_path / f"{name}.csv", index=False)
    try:
        b, c = (start("party-b", "serve", *serve, f"{name}.csv", "--state", f"party-{name}") for name in "bc")
        lines = [party.stdout.readline() for party in (b, c)]
        assert all(lines), [party.communicate()[1] for party, line in zip((b, c), lines, strict=True) if not line]
        ways = [f"127.0.0.1:{line.split()[-1]}" for line in lines]
        train = ["party-a", "train", "--data", "a.csv", "--encryption", "none", "--trees", "10000"]
        a = start(*train, "--patience", str(FOREVER), "--address", ways[0], "--more", f"party-c={ways[1]}")
        while not a.stdout.readline().startswith("tree    2"):
            assert a.poll() is None, a.stderr.read()
        c.send_signal(signal.SIGINT)
        said = a.communicate(timeout=300)[1]
        assert said.endswith("securegbm: party-c: the feature party ended the session: it was interrupted there; start both "
                             "parties again, and a training goes on after its last whole tree\n")  # fmt: skip
        c.wait(timeout=300)
        b.send_signal(signal.SIGINT)
        told = b.communicate(timeout=300)[1].splitlines()
        assert told[0].startswith("the label party ended the session: another party left or cannot be reached")
        assert [process.returncode for process in (a, b, c)] == [2, 130, 130]
    finally:
        for process in started:
            process.kill()
            process.communicate()
