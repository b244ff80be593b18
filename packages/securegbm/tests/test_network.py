"""Two ends on the loopback address: mutual TLS, chunks, retries, deadlines, and who is turned away."""

import datetime
import time

import pytest

from securegbm.app.links import Link
from securegbm.errors import SecureGBMError
from securegbm.feature_party.party import FeatureParty
from securegbm.feature_party.policy import FeaturePolicy
from securegbm.label_party.party import LabelParty
from securegbm.label_party.predict import Predictor
from securegbm.tables.table import Table
from securegbm.wire.certificates import Identity, fingerprint, make_certificate, shared_secret, write_certificate
from securegbm.wire.network import CHUNK, NetworkChannel, from_chunks, to_chunks
from securegbm.wire.server import Server


class Echo:
    """Answers with what arrived."""

    def limit(self):
        return 8 * CHUNK

    def oversized(self):
        return b"too long"

    def handle(self, data):
        if data == b"slow":
            time.sleep(1.0)
        return data


@pytest.fixture(scope="module")
def certificates():
    return {name: make_certificate(name) for name in ("party-a", "party-b", "stranger")}


def identity(certificates, own, peer):
    return Identity(*certificates[own], certificates[peer][0])


@pytest.fixture
def served(certificates):
    server = Server(Echo(), "127.0.0.1:0", identity(certificates, "party-b", "party-a"))
    yield f"127.0.0.1:{server.port}"
    server.stop()


@pytest.mark.parametrize("size", [0, 1, CHUNK - 9, CHUNK - 8, CHUNK - 7, 3 * CHUNK])
def test_chunks_are_small_and_join_again(size):
    data = bytes(range(256)) * (size // 256 + 1)
    chunks = list(to_chunks(data[:size]))
    assert max(map(len, chunks)) <= CHUNK
    assert from_chunks(chunks) == data[:size]


def test_cut_and_oversized_messages_are_refused():
    with pytest.raises(SecureGBMError, match="cut"):
        from_chunks(list(to_chunks(bytes(3 * CHUNK)))[:-1])
    with pytest.raises(SecureGBMError, match="longer than"):
        from_chunks(to_chunks(bytes(100)), limit=50)
    with pytest.raises(SecureGBMError, match="not a SecureGBM message"):
        from_chunks([b"abc"])


def test_large_messages_pass_over_tls(served, certificates):
    channel = NetworkChannel(served, identity(certificates, "party-a", "party-b"))
    data = bytes(5 * CHUNK + 17)
    assert channel.call(data) == data
    channel.close()


@pytest.mark.parametrize(
    ("own", "peer", "what"),
    [
        ("stranger", "party-b", "does not accept our certificate"),
        ("party-a", "stranger", "could not be authenticated"),
    ],
)
def test_unknown_certificates_are_refused(own, peer, what, served, certificates):
    channel = NetworkChannel(served, identity(certificates, own, peer), patience=0.2)
    with pytest.raises(SecureGBMError, match=what):
        channel.call(b"x")
    channel.close()


def test_plaintext_is_refused_by_a_tls_server(served):
    channel = NetworkChannel(served, None, insecure_loopback=True, patience=0.2)
    with pytest.raises(SecureGBMError, match="cannot be reached"):
        channel.call(b"x")
    channel.close()


@pytest.mark.parametrize("start", [Server, NetworkChannel])
def test_plaintext_needs_the_flag_and_the_loopback_address(start):
    party = (Echo(),) if start is Server else ()
    with pytest.raises(SecureGBMError, match="without certificates nothing is served or called"):
        start(*party, "127.0.0.1:0")
    with pytest.raises(SecureGBMError, match="for this machine only"):
        start(*party, "0.0.0.0:0", None, True)


def test_an_expired_certificate_is_named(certificates, tmp_path):
    old = make_certificate("party-a", 1, datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC))
    (tmp_path / "party-a.crt").write_bytes(old[0])
    (tmp_path / "party-a.key").write_bytes(old[1])
    (tmp_path / "party-b.crt").write_bytes(certificates["party-b"][0])
    with pytest.raises(SecureGBMError, match=r"party-a.crt expired on 2020-01-02; make a new one"):
        Identity.read(tmp_path, "party-a", "party-b")


def test_an_expired_certificate_is_refused_by_the_server(certificates):
    old = make_certificate("party-a", 1, datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC))
    server = Server(Echo(), "127.0.0.1:0", Identity(*certificates["party-b"], old[0]))
    channel = NetworkChannel(f"127.0.0.1:{server.port}", Identity(*old, certificates["party-b"][0]), patience=0.2)
    with pytest.raises(SecureGBMError, match="certificate"):
        channel.call(b"x")
    channel.close()
    server.stop()


def test_pins_and_missing_files(certificates, tmp_path):
    with pytest.raises(SecureGBMError, match="run `securegbm certs`"):
        Identity.read(tmp_path, "party-a", "party-b")
    write_certificate(tmp_path, "party-a")
    printed = write_certificate(tmp_path, "party-b")
    assert Identity.read(tmp_path, "party-a", "party-b", printed).peer
    with pytest.raises(SecureGBMError, match="another fingerprint"):
        Identity.read(tmp_path, "party-a", "party-b", fingerprint(certificates["party-b"][0]))
    with pytest.raises(SecureGBMError, match="exists; remove it first"):
        write_certificate(tmp_path, "party-a")
    assert (tmp_path / "party-a.key").stat().st_mode & 0o777 == 0o600


def test_both_ends_derive_one_secret_and_strangers_another(certificates):
    secret = shared_secret(identity(certificates, "party-a", "party-b"))
    assert secret == shared_secret(identity(certificates, "party-b", "party-a"))
    assert secret != shared_secret(identity(certificates, "stranger", "party-b"))


def test_a_deadline_ends_a_call(served, certificates):
    channel = NetworkChannel(served, identity(certificates, "party-a", "party-b"), deadline=0.2)
    with pytest.raises(SecureGBMError, match="did not answer within"):
        channel.call(b"slow")
    channel.close()


def test_nobody_there(certificates):
    channel = NetworkChannel("127.0.0.1:9", identity(certificates, "party-a", "party-b"), patience=0.2)
    with pytest.raises(SecureGBMError, match="cannot be reached"):
        channel.call(b"x")
    channel.close()


def test_a_run_over_the_network_equals_one_in_process(problem, pair, quick, certificates):
    values, labels, _ = problem(300, 1)
    config = quick(encryption="toy", n_estimators=2)
    local = pair(values, labels, config)
    ours, theirs = identity(certificates, "party-a", "party-b"), identity(certificates, "party-b", "party-a")
    party = FeatureParty(Table.of(values[:, 4:], ["b0", "b1", "b2", "b3"]), FeaturePolicy(allow_toy=True),
                         shared_secret(theirs))  # fmt: skip
    server = Server(party, "127.0.0.1:0", theirs)
    channel = NetworkChannel(f"127.0.0.1:{server.port}", ours)
    table = Table.of(values[:, :4], ["a0", "a1", "a2", "a3"])
    half = LabelParty(table, labels, config, channel, key=shared_secret(ours)).train()
    scores = Predictor(half, channel, shared_secret(ours)).scores(table)
    channel.close()
    server.stop()
    assert half.to_dict() == local.half.to_dict()
    assert scores.shape == (1, 300)


def test_a_certificate_signed_by_the_pinned_one_is_turned_away_on_both_sides(certificates):
    """TLS would accept it, since each side trusts the other's certificate as a root; the pin does not."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    pem, key = certificates["party-a"]
    issuer = x509.load_pem_x509_certificate(pem)
    own = ec.generate_private_key(ec.SECP256R1())
    forged = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "somebody")]))
        .issuer_name(issuer.subject)
        .public_key(own.public_key())
        .serial_number(7)
        .not_valid_before(issuer.not_valid_before_utc)
        .not_valid_after(issuer.not_valid_after_utc)
        .sign(serialization.load_pem_private_key(key, None), hashes.SHA256())
    )
    chain = forged.public_bytes(serialization.Encoding.PEM) + pem
    private = own.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    told = []
    server = Server(Echo(), "127.0.0.1:0", identity(certificates, "party-b", "party-a"), tell=told.append)
    channel = NetworkChannel(f"127.0.0.1:{server.port}", Identity(chain, private, certificates["party-b"][0]), patience=0.2)
    try:
        with pytest.raises(SecureGBMError, match="not the pinned one; exchange"):
            channel.call(b"x")
    finally:
        channel.close()
        server.stop()
    assert told == ["a caller showed a certificate that is not the pinned one and was turned away"]


def test_a_long_call_is_not_cut_for_its_keepalive_pings(monkeypatch):
    """A server of gRPC's defaults answers the third ping of a silent call with a goodbye, and the work is done twice."""
    from securegbm.wire import network
    from securegbm.wire import server as serving

    fast = [(name, 100 if name == "grpc.keepalive_time_ms" else value) for name, value in network.OPTIONS]
    for side in (network, serving):
        monkeypatch.setattr(side, "OPTIONS", fast)
    calls = []

    class Slow(Echo):
        def handle(self, data):
            calls.append(data)
            time.sleep(5.0)
            return data

    server = Server(Slow(), "127.0.0.1:0", insecure_loopback=True)
    channel = NetworkChannel(f"127.0.0.1:{server.port}", insecure_loopback=True, patience=5.0)
    assert channel.call(b"x") == b"x"
    channel.close()
    server.stop()
    assert calls == [b"x"]


def test_a_pin_without_certificates_is_refused(tmp_path):
    link = Link("127.0.0.1:50551", tmp_path, "party-a", "party-b", pin="00" * 32, insecure_loopback=True)
    with pytest.raises(SecureGBMError, match="leave one of them out"):
        link.identity()
