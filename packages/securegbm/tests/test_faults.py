"""Networks as they are: what heals is waited for, and what does not ends in its true sentence."""

import contextlib
import datetime
import os
import socket
import threading
import time

import pytest

from securegbm.errors import SecureGBMError, UnreachableError
from securegbm.feature_party.party import FeatureParty
from securegbm.feature_party.policy import FeaturePolicy
from securegbm.label_party.party import LabelParty
from securegbm.tables.table import Table
from securegbm.wire.certificates import Identity, make_certificate
from securegbm.wire.network import CHUNK, NetworkChannel
from securegbm.wire.server import Server


class Echo:
    """Answers with what arrived."""

    def handle(self, data):
        return data

    def limit(self):
        return 4 * CHUNK

    def oversized(self):
        return b"oversized"


class Proxy:
    """A TCP proxy with faults, per connection: `fault(number)` returns what befalls it.

    `None` nothing, `refuse` accept and close, `hang` accept and say nothing, an integer: cut after so many bytes,
    `("slow", seconds)` a pause before every piece, `("http", text)` answer that and close.
    """

    def __init__(self, target, fault):
        self._target, self._fault, self.count = target, fault, 0
        self._server, self._open = socket.create_server(("127.0.0.1", 0)), []
        self.address = f"127.0.0.1:{self._server.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                one, _ = self._server.accept()
            except OSError:
                return
            self.count += 1
            fault = self._fault(self.count)
            self._open.append(one)
            if fault == "hang":
                continue
            try:
                if isinstance(fault, tuple) and fault[0] == "http":
                    one.sendall(fault[1])
                if fault == "refuse" or (isinstance(fault, tuple) and fault[0] == "http"):
                    raise OSError
                other = socket.create_connection(("127.0.0.1", int(self._target)), timeout=2)
            except OSError:
                one.close()
                continue
            other.settimeout(None)
            self._open.append(other)
            budget = [fault if isinstance(fault, int) else 1 << 40]
            pause = fault[1] if isinstance(fault, tuple) else 0.0
            for pair in ((one, other), (other, one)):
                threading.Thread(target=self._pump, args=(*pair, budget, pause), daemon=True).start()

    @staticmethod
    def _pump(source, sink, budget, pause):
        try:
            while data := source.recv(65536):
                time.sleep(pause)
                sink.sendall(data[: max(0, budget[0])])
                budget[0] -= len(data)
                if budget[0] <= 0:
                    break
        except OSError:
            pass
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def drop(self):
        """Cut every connection now."""
        for end in self._open:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self):
        self._server.close()
        self.drop()
        for end in self._open:
            end.close()


@pytest.fixture(scope="module")
def certificates():
    return {name: make_certificate(name) for name in ("party-a", "party-b", "stranger")}


def identity(certificates, own, peer):
    return Identity(*certificates[own], certificates[peer][0])


@pytest.fixture
def served(certificates):
    server = Server(Echo(), "127.0.0.1:0", identity(certificates, "party-b", "party-a"))
    yield server.port
    server.stop()


@pytest.fixture
def through(certificates):
    """A channel through a faulty proxy; all of it is closed at the end."""
    opened = []

    def make(port, fault, patience=60.0, own="party-a", deadline=60.0):
        proxy = Proxy(port, fault)
        ours = own if isinstance(own, Identity) else identity(certificates, own, "party-b")
        channel = NetworkChannel(proxy.address, ours, patience=patience, deadline=deadline)
        opened.extend((channel, proxy))
        return channel, proxy

    yield make
    for item in opened:
        item.close()


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(lambda number: "refuse" if number < 3 else None, id="backend down, then up"),
        pytest.param(lambda number: 700 if number < 2 else None, id="handshake cut"),
        pytest.param(lambda number: 300_000 if number < 3 else None, id="upload cut"),
        pytest.param(lambda number: 3_000_000 if number < 2 else None, id="answer cut"),
        pytest.param(lambda number: ("slow", 0.02), id="slow line"),
        pytest.param(
            lambda number: ("http", b"HTTP/1.1 502 Bad Gateway\r\n\r\n") if number < 2 else None, id="502 before TLS"
        ),
    ],
)
def test_faults_that_heal_are_waited_for(fault, served, through):
    channel, _ = through(served, fault)
    data = bytes(range(256)) * 8192
    assert channel.call(data) == data


def test_a_proxy_that_drops_every_connection_again_and_again(served, through):
    channel, proxy = through(served, lambda number: None)
    for _ in range(4):
        assert channel.call(b"x" * 1000) == b"x" * 1000
        proxy.drop()
    assert proxy.count >= 4


def test_a_run_over_10_mb_a_second_through_a_proxy_that_drops_again_and_again(problem, pair, quick, certificates):
    """What a proxy does every 30 s befalls this run five times in a row: the model is the one without it."""
    values, labels, _ = problem(400, 3)
    config = quick(n_estimators=2, encryption="toy")
    undisturbed = pair(values, labels, config)
    party = FeatureParty(Table.of(values[:, 4:]), FeaturePolicy(allow_toy=True))
    server = Server(party, "127.0.0.1:0", identity(certificates, "party-b", "party-a"))
    proxy = Proxy(server.port, lambda number: ("slow", 65536 / 10e6))
    channel = NetworkChannel(proxy.address, identity(certificates, "party-a", "party-b"), patience=60.0)
    done = threading.Event()

    def keep_dropping():
        for _ in range(5):
            done.wait(0.3)
            proxy.drop()

    dropper = threading.Thread(target=keep_dropping)
    dropper.start()
    try:
        half = LabelParty(Table.of(values[:, :4]), labels, config, channel).train()
    finally:
        done.set()
        dropper.join()
        for item in (channel, proxy):
            item.close()
        server.stop()
    assert proxy.count >= 2
    assert [tree.to_dict() for tree in half.trees] == [tree.to_dict() for tree in undisturbed.half.trees]


@pytest.mark.parametrize("fault", ["refuse", "hang"])
def test_a_dead_backend_is_unreachable_and_not_a_stranger(fault, served, through):
    channel, _ = through(served, lambda number: fault, patience=0.5, deadline=3.0)
    begun = time.monotonic()
    with pytest.raises(UnreachableError, match=r"cannot be reached|did not answer within") as end:
        channel.call(b"x")
    assert time.monotonic() - begun > 0.4
    assert "authenticated" not in str(end.value)


def test_a_stranger_is_named_at_once_and_a_late_one_as_unreachable(served, through):
    channel, _ = through(served, lambda number: None, own="stranger", patience=0.3)
    with pytest.raises(UnreachableError, match="does not accept our certificate"):
        channel.call(b"x")


def test_a_certificate_that_expires_in_the_middle_is_named(certificates, through):
    for left in (2, 8, 32, 128):  # seconds in which the first call has to be through, more on a busy machine
        end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=left)
        short = make_certificate("party-a", 1, end - datetime.timedelta(days=1))
        server = Server(Echo(), "127.0.0.1:0", Identity(*certificates["party-b"], short[0]))
        channel, proxy = through(server.port, lambda number: None, 0.5, Identity(*short, certificates["party-b"][0]))
        try:
            reply = channel.call(b"x")
        except UnreachableError:
            server.stop()
            continue
        break
    try:
        assert reply == b"x"
        while datetime.datetime.now(datetime.UTC) < end + datetime.timedelta(milliseconds=300):
            time.sleep(0.1)
        proxy.drop()
        with pytest.raises(UnreachableError, match=r"the certificate \(ours\) expired on"):
            channel.call(b"x")
    finally:
        server.stop()


def test_a_clock_that_is_wrong_is_named(certificates, through, served):
    early = make_certificate("party-a", 9, datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=1))
    channel, _ = through(served, lambda number: None, 0.3, Identity(*early, certificates["party-b"][0]))
    with pytest.raises(UnreachableError, match=r"is valid from .* on; check the clock"):
        channel.call(b"x")


def test_http_connect_passes_grpc_on(certificates, served, monkeypatch):
    """gRPC asks the proxy of `grpc_proxy` for a tunnel; TLS stays between the parties."""
    asked, ends = [], []

    def connect(one):
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += one.recv(1)
        asked.append(head.split()[1])
        one.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        other = socket.create_connection(("127.0.0.1", served))
        ends.extend((one, other))
        for pair in ((one, other), (other, one)):
            threading.Thread(target=Proxy._pump, args=(*pair, [1 << 40], 0.0), daemon=True).start()

    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=lambda: connect(listener.accept()[0]), daemon=True).start()
    monkeypatch.setenv("grpc_proxy", f"http://127.0.0.1:{listener.getsockname()[1]}")
    channel = NetworkChannel(f"127.0.0.1:{served}", identity(certificates, "party-a", "party-b"), patience=60.0)
    assert channel.call(b"x") == b"x"
    channel.close()
    listener.close()
    for end in ends:
        end.close()
    assert asked == [f"127.0.0.1:{served}".encode()]


def rss():
    with open(f"/proc/{os.getpid()}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def test_half_sent_messages_are_dropped_and_the_true_peer_is_served(monkeypatch):
    """Too long ones are not read, slow ones are cut, a newer call ends an older one; their memory is free again."""
    import struct

    import grpc

    from securegbm.wire import network
    from securegbm.wire import server as serving

    server = Server(Echo(), "127.0.0.1:0", insecure_loopback=True)
    channel = NetworkChannel(f"127.0.0.1:{server.port}", insecure_loopback=True, patience=60.0, deadline=60.0)
    raw = grpc.insecure_channel(f"127.0.0.1:{server.port}", options=network.OPTIONS)
    call, silent = raw.stream_stream(f"/{network.SERVICE}/{network.METHOD}"), threading.Event()

    def half(size, pieces):
        yield struct.pack("<Q", size)
        for _ in range(pieces):
            yield bytes(CHUNK)
        silent.wait(120)

    try:
        assert b"".join(call(half(1 << 33, 50))).endswith(b"oversized")
        before = rss()
        hanging = [call(half(4 * CHUNK, 3)) for _ in range(6)]
        time.sleep(0.3)
        assert channel.call(b"x") == b"x"
        assert rss() - before < 60
        monkeypatch.setattr(serving, "FIRST_BYTES", 0.3)
        monkeypatch.setattr(serving, "SLOWEST", 1e12)
        hanging.append(call(half(4 * CHUNK, 1)))
        for number, one in enumerate(hanging):
            with pytest.raises(grpc.RpcError) as end:
                list(one)
            assert end.value.code() == grpc.StatusCode.CANCELLED, number
    finally:
        silent.set()
        channel.close()
        raw.close()
        server.stop()


def test_keys_are_rotated_without_losing_runs(tmp_path):
    import shutil

    from securegbm.app.rotation import accept, rotate
    from securegbm.wire.certificates import parties_of, shared_secret, write_certificate

    folders = {name: tmp_path / name for name in ("party-a", "party-b")}
    for name, folder in folders.items():
        folder.mkdir()
        write_certificate(folder, name)
    for name, other in (("party-a", "party-b"), ("party-b", "party-a")):
        shutil.copy(folders[name] / f"{name}.crt", folders[other])

    def both():
        found = [Identity.read(folders[own], own, peer) for own, peer in (("party-a", "party-b"), ("party-b", "party-a"))]
        assert shared_secret(found[0]) == shared_secret(found[1])
        assert parties_of(found[0]) == parties_of(found[1])
        return parties_of(found[0]), shared_secret(found[0])

    before = both()
    for _ in range(2):
        printed = rotate(folders["party-a"], "party-a")
        shutil.copy(folders["party-a"] / "party-a.rotation", folders["party-b"])
        assert accept(folders["party-b"], "party-a") == printed
    after = both()
    assert after[0] == before[0]
    assert after[1] != before[1]
    with pytest.raises(SecureGBMError, match=r"not signed by the key of party-a\.crt"):
        accept(folders["party-b"], "party-a")
    stranger = tmp_path / "stranger"
    stranger.mkdir()
    write_certificate(stranger, "party-a")
    rotate(stranger, "party-a")
    shutil.copy(stranger / "party-a.rotation", folders["party-b"])
    with pytest.raises(SecureGBMError, match=r"not signed by the key of party-a\.crt"):
        accept(folders["party-b"], "party-a")
    with pytest.raises(SecureGBMError, match="there is no key to replace"):
        rotate(tmp_path, "party-a")


def test_metrics_count_on_this_machine_only():
    import urllib.request

    from securegbm.app.metrics import Metrics, MetricsServer
    from securegbm.wire.messages import Kind, Message

    heard = []
    metrics = Metrics()
    log = metrics.counting(lambda *message: heard.append(message))
    server = MetricsServer("127.0.0.1:0", metrics)
    try:
        for kind in (Kind.SUMS, Kind.COMMIT, Kind.COMMIT):
            log("sent", Message(kind, bytes(16)), 10, b"")
        with urllib.request.urlopen(f"http://127.0.0.1:{server.server_address[1]}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        assert 'securegbm_messages_total{kind="COMMIT",direction="sent"} 2' in text
        assert 'securegbm_bytes_total{direction="sent"} 30' in text
        assert "securegbm_trees_committed_total 2" in text
        assert len(heard) == 3
        for address in ("0.0.0.0:0", "127.0.0.1"):
            with pytest.raises(SecureGBMError, match="not on this machine"):
                MetricsServer(address, metrics)
    finally:
        server.shutdown()
        server.server_close()
