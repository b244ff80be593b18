"""What each side can read in everything it received (section 6 of the threat model in the README)."""

import struct

import numpy as np
import pytest

from securegbm.crypto.seal import Scratch
from securegbm.errors import ProtocolError, SecureGBMError
from securegbm.tables.binning import BinConfig
from securegbm.trees.growth import GrowthConfig
from securegbm.trees.objectives import to_fixed_point
from securegbm.wire.messages import Endpoint, Kind, Message, new_run, peek


@pytest.fixture(scope="module")
def columns():
    from conftest import make_columns

    return make_columns(300, 11)


@pytest.fixture(scope="module")
def hidden_run(columns):
    """An encrypted run that hides instances."""
    return _run(columns[0], columns[1], hide_instances=True)


@pytest.fixture(scope="module")
def shown_run(columns):
    """An encrypted run that shows which rows are in a node."""
    return _run(columns[0], columns[1])


def _run(values, labels, ring="auto", **changes):
    from conftest import run_pair

    from securegbm.config import TrainConfig

    config = TrainConfig(n_estimators=1, encryption="toy", growth=GrowthConfig(4), bins=BinConfig(7), **changes)
    with pytest.MonkeyPatch.context() as patch:  # four bytes of a number may stand in random ones by chance
        patch.setattr("os.urandom", np.random.default_rng(0).bytes)
        return run_pair(values, labels, config, record=True, ring=ring)


def requests(run):
    endpoint = Endpoint(b"shared secret of the tests")
    return [(peek(data)[0], data, endpoint) for data in run.channel.sent]


def encodings(number, bits):
    """Ways a value could stand in a message: floats, fixed point, and fixed point mod t."""
    fixed = round(number * 2**bits)
    return [struct.pack("<d", number), struct.pack("<f", number), struct.pack("<q", fixed)]


@pytest.mark.parametrize("run", ["hidden_run", "shown_run"])
def test_no_gradient_label_or_leaf_value_is_readable_in_what_the_feature_party_received(run, request, columns):
    run, labels = request.getfixturevalue(run), columns[1]
    inbound = b"".join(run.channel.sent)
    party = run.label
    initial = party.config.objective.initial(labels, party.weights)
    scores = np.repeat(initial[:, None], len(labels), axis=1)
    gradient, hessian = party.config.objective.derivatives(scores, labels, party.weights)
    secrets = set(np.unique(to_fixed_point(gradient[0], 23).values)) | set(np.unique(hessian)) | set(initial)
    secrets |= {value for tree in run.half.trees for value in tree.value}
    assert not [x for x in secrets for code in encodings(x, 23) if x and code in inbound]
    assert labels.astype("<f8").tobytes()[:64] not in inbound
    assert np.packbits(labels.astype(bool)).tobytes() not in inbound


def test_the_same_scan_finds_gradients_that_are_sent_in_the_clear(columns):
    """Without this, the scan could pass by looking for the wrong thing."""
    from conftest import run_pair

    from securegbm.config import TrainConfig

    config = TrainConfig(n_estimators=1, encryption="none", growth=GrowthConfig(4), bins=BinConfig(7))
    run = run_pair(columns[0], columns[1], config, record=True)
    initial = config.objective.initial(columns[1], np.ones(300))
    gradient, _ = config.objective.derivatives(np.repeat(initial[:, None], 300, axis=1), columns[1], np.ones(300))
    code = encodings(to_fixed_point(gradient[0], 23).values[0], 23)[2]
    assert code in b"".join(run.channel.sent)


def test_the_secret_key_is_never_sent(hidden_run, monkeypatch, columns):
    from securegbm.crypto.label_cipher import LabelCipher

    keys = []
    real = LabelCipher.secret_key
    monkeypatch.setattr(LabelCipher, "secret_key", lambda self: keys.append((self, real(self))) or keys[-1][1])
    run = _run(*columns[:2], ring="seal")
    cipher, saved = keys[0]
    inbound = b"".join(run.channel.sent)
    plain = np.array([cipher._secret.data().data(i) for i in range(64)], dtype="<u8").tobytes()
    assert saved[100:160] not in inbound
    assert plain not in inbound
    assert Scratch().dump(cipher._secret.data())[100:160] not in inbound


def test_the_compiled_rings_secret_keys_are_never_sent(monkeypatch, columns):
    """Neither as numbers of any width, nor transformed and packed, nor the stream they come from."""
    from securegbm.ring.label import LabelRing

    found = []
    real = LabelRing.public_key
    monkeypatch.setattr(LabelRing, "public_key", lambda self: found.append(self) or real(self))
    inbound = b"".join(_run(*columns[:2]).channel.sent)
    (label,) = found
    assert label.public_key()[32:] not in inbound
    for secret, turned in zip(label._secret, label._turned, strict=True):
        forms = [secret[:64].astype(kind).tobytes() for kind in (np.int64, np.int8)]
        forms += [np.packbits(secret != 0).tobytes()[:64], label.ring.pack(np.stack([x for x, _ in turned]))[:64]]
        forms += [label.ring.pack((secret[None, :] % np.array(label.ring.primes)[:, None]).astype(np.uint64))[:64]]
        assert not [form for form in forms if form in inbound]


def test_with_hiding_all_requests_for_sums_are_alike_whatever_the_labels(columns):
    """Two label vectors, same shapes: in hiding mode every request of a kind has one length and one set of fields."""
    values, labels, _ = columns
    other = np.random.default_rng(0).permutation(labels)

    def shape(run):
        endpoint = Endpoint(b"shared secret of the tests")
        out = []
        for data in run.channel.sent:
            kind = peek(data)[0]
            message = endpoint.decode(data)
            endpoint._advance(_digest(run, data))
            if kind == Kind.SUMS:
                out.append((len(message.parts), sorted(message.fields)))
        return out

    hidden = [shape(_run(values, y, hide_instances=True)) for y in (labels, other)]
    assert len(hidden[0]) == len(hidden[1]) == 3
    assert len({str(item) for items in hidden for item in items}) == 1


def _digest(run, data):
    """Digest of the reply to `data`, so that the transcript of the requests can be followed."""
    from securegbm.wire.messages import digest_of

    return digest_of(run.channel.received[run.channel.sent.index(data)])


def test_hiding_requests_name_no_rows(hidden_run, shown_run):
    def bitmaps(run):
        endpoint = Endpoint(b"shared secret of the tests")
        found = 0
        for data in run.channel.sent:
            message = endpoint.decode(data)
            endpoint._advance(_digest(run, data))
            if message.kind in (Kind.SUMS, Kind.SPLIT):
                found += any(len(part) == -(-300 // 8) for part in message.parts)
        return found

    assert bitmaps(hidden_run) == 0
    assert bitmaps(shown_run) > 0


def test_hidden_requests_cannot_tell_labels_apart(columns):
    """A nearest-mean classifier on byte histograms of ciphertexts guesses which labels were encrypted: at chance.

    240 ciphertexts of each of two gradient vectors, half for training; six standard errors around 1/2, once in 10^8 runs.
    """
    from securegbm.crypto.label_cipher import LabelCipher
    from securegbm.crypto.parameters import BFVParameters

    cipher = LabelCipher(BFVParameters.choose(300, 23, "toy"))
    zeros, ones = np.zeros(256, dtype=np.int64), np.full(256, 2**23)
    features = []
    for vector in (zeros, ones):
        made = cipher.encrypt([vector] * 240)
        features.append(np.array([np.bincount(np.frombuffer(d[1000:], np.uint8), minlength=256) for d in made]))
    means = [f[:120].mean(axis=0) for f in features]
    right = 0
    for label, held in enumerate(f[120:] for f in features):
        distance = np.array([((held - mean) ** 2).sum(axis=1) for mean in means])
        right += int((distance.argmin(axis=0) == label).sum())
    assert abs(right / 240 - 0.5) < 6 * np.sqrt(0.25 / 240)


def parts_of(run, kind, received=False):
    """Parts of all requests (or replies) of a kind."""
    endpoint, found = Endpoint(b"shared secret of the tests"), []
    for sent, reply in zip(run.channel.sent, run.channel.received, strict=True):
        messages = [endpoint.decode(data) for data in (sent, reply)]
        if messages[0].kind == kind:
            found.append(messages[received].parts)
    return found


def test_counted_rows_tell_what_encrypted_hessians_would_and_that_they_are_one(columns):
    """Squared error: numbers of rows stand for the hessians' sums, bit for bit, and the keys say so; noise or hidden nodes
    and other objectives do not count."""
    from securegbm.trees.objectives import Objective

    values, labels, score = columns
    regression = {"objective": Objective("regression")}
    counted = _run(values, score, **regression)
    assert [parts[1] for parts in parts_of(counted, Kind.KEYS)] == [b"counts"]
    told = [np.frombuffer(parts[-1], "<i8") for parts in parts_of(counted, Kind.SUMS, received=True)]
    from conftest import run_pair

    from securegbm.config import TrainConfig

    config = TrainConfig(n_estimators=1, encryption="none", growth=GrowthConfig(4), bins=BinConfig(7), **regression)
    plain = parts_of(run_pair(values, score, config, record=True), Kind.SUMS, received=True)
    assert [(rows << 23).tolist() for rows in told] == [np.frombuffer(parts[1], "<i8").tolist() for parts in plain]
    assert len(told) == 3
    for other in (_run(values, labels), _run(values, score, hide_instances=True, **regression)):
        assert [parts[1] for parts in parts_of(other, Kind.KEYS)] == [b"pair"]
        assert all(len(part) != len(told[0]) * 8 for parts in parts_of(other, Kind.SUMS, received=True) for part in parts)


@pytest.mark.parametrize("field", ["body", "digest", "transcript", "head"])
def test_tampered_messages_end_the_session(field, columns, quick, pair):
    values, labels, _ = columns

    class Tampering:
        def __init__(self, party):
            self.party, self.count = party, 0

        def call(self, data):
            self.count += 1
            if self.count == 4:
                at = {"head": 30, "digest": 60, "transcript": 90, "body": len(data) - 1}[field]
                data = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
            return self.party.handle(data)

    from securegbm.label_party.party import LabelParty

    told = []
    run = pair(values, labels, quick())
    run.feature._tell = told.append
    party = LabelParty(run.label.table, labels, quick(), Tampering(run.feature), key=b"shared secret of the tests")
    with pytest.raises(ProtocolError, match=r"changed|message"):
        party.train()
    assert len(told) == 1
    assert "message was changed" in told[0]


@pytest.mark.parametrize("attack", ["changed", "an old reply", "another order"])
def test_replies_that_were_changed_or_replayed_end_the_session_on_both_sides(attack, columns, quick, pair):
    """Who stands between the parties cannot make the label party take a reply that is not the next one."""
    values, labels, _ = columns
    from securegbm.label_party.party import LabelParty

    told = []
    run = pair(values, labels, quick())
    run.feature._tell = told.append

    class Between:
        def __init__(self):
            self.replies = []

        def call(self, data):
            reply = run.feature.handle(data)
            self.replies.append(reply)
            if len(self.replies) == 5:
                return {"changed": reply[:-1] + bytes([reply[-1] ^ 1]), "an old reply": self.replies[1],
                        "another order": self.replies[3]}[attack]  # fmt: skip
            return reply

    party = LabelParty(run.label.table, labels, quick(), Between(), key=b"shared secret of the tests")
    with pytest.raises(ProtocolError, match="a message was"):
        party.train()
    assert len(told) == 1
    assert told[0].startswith("the label party ended the session: a message was")


def greet(party, talk, session, label_party):
    """A live greeting; the endpoint of the label party follows the reply."""
    fields = {
        "purpose": "train", "rows": 300, "ids": label_party.table.id_digest(b"shared secret of the tests"),
        "label": "label", "trees": 3, "leaves": 3, "bins": vars(label_party.config.bins), "hide_instances": False,
        "privacy_bits": 23, "encryption": "none", "parameters": None,
    }  # fmt: skip
    talk.restart()
    talk.decode(party.handle(talk.encode(Message(Kind.HELLO, session, fields=fields))))


@pytest.mark.parametrize("attack", ["an old conversation", "an earlier message", "a skipped message"])
def test_replayed_and_reordered_messages_are_refused(attack, columns, quick, pair):
    run = pair(*columns[:2], quick(), record=True)

    party, talk, session = run.feature, Endpoint(b"shared secret of the tests"), new_run()
    if attack == "an old conversation":
        answer = party.handle(run.channel.sent[0])
    else:
        greet(party, talk, session, run.label)
        first = talk.encode(Message(Kind.TREE, session, 0))
        if attack == "an earlier message":
            talk.decode(party.handle(first))
            talk.decode(party.handle(talk.encode(Message(Kind.COMMIT, session, 0))))
            answer = party.handle(first)
        else:
            answer = party.handle(talk.encode(Message(Kind.COMMIT, session, 0)))
    assert peek(answer)[0] == Kind.ABORT
    talk.restart()
    what = "finished and stays as it is" if attack == "an old conversation" else "repeated, lost or moved"
    assert what in talk.decode(answer).fields["reason"]


def test_a_retry_of_the_last_request_gets_the_same_bytes(columns, quick, pair):
    run = pair(*columns[:2], quick())
    talk = Endpoint(b"shared secret of the tests")

    hello = talk.encode(Message(Kind.HELLO, run.label.run, fields={"purpose": "predict", "nonce": "x"}))
    assert run.feature.handle(hello) == run.feature.handle(hello)


def test_a_message_of_another_session_or_secret_is_refused(columns, quick, pair):
    from securegbm.wire.channel import Conversation, LocalChannel

    run = pair(*columns[:2], quick())
    with pytest.raises(ProtocolError, match="secrets differ"):
        Conversation(run.channel, "securegbm", b"wrong").ask(Kind.HELLO, fields={"purpose": "predict"})
    talk = Conversation(LocalChannel(run.feature), "another job", b"shared secret of the tests")
    with pytest.raises(ProtocolError, match="no finished model of that run"):
        talk.ask(Kind.HELLO, fields={"purpose": "predict"})


def test_small_bins_are_merged_before_they_are_summed(columns):
    from securegbm.tables.binning import BinLayout
    from securegbm.tables.blanking import merge_small_bins

    rng = np.random.default_rng(0)
    for trial in range(50):
        n_bins = int(rng.integers(2, 12))
        weights = rng.dirichlet(np.full(n_bins, 0.3))
        bins = rng.choice(n_bins, (60, 1), p=weights).astype(np.uint16)
        layout = BinLayout(n_bins, "nan" if trial % 2 else "none", 0, 0)
        merged = merge_small_bins(bins, [layout], 7)
        counts = np.bincount(merged[:, 0])
        assert set(counts[counts > 0] >= 7) == {True}
        order = np.argsort(bins[:, 0], kind="stable")
        if layout.missing == "none":
            assert (np.diff(merged[order, 0].astype(int)) >= 0).all()


def test_a_feature_party_that_requires_hiding_refuses_other_runs(columns, quick, pair):
    from securegbm.feature_party.policy import FeaturePolicy

    policy = FeaturePolicy(require_hiding=True, allow_plain=True)
    with pytest.raises(SecureGBMError, match="requires hide_instances"):
        pair(*columns[:2], quick(), policy)
    assert pair(*columns[:2], quick(hide_instances=True), policy).half.trees


def test_requests_beyond_what_a_tree_needs_end_the_session(columns, quick, pair):
    """A label party cannot read off every column by asking for every split or many sums in one tree."""
    from securegbm.tables.table import pack_rows

    run = pair(*columns[:2], quick())
    party, talk, session = run.feature, Endpoint(b"shared secret of the tests"), new_run()
    ones = [np.ones(300, dtype="<i8").tobytes()] * 2
    greet(party, talk, session, run.label)
    talk.decode(party.handle(talk.encode(Message(Kind.TREE, session, 0))))
    for number in range(7):
        rows = pack_rows(np.arange(300 - 10 * number), 300)
        parts = [rows, *(part[: 8 * (300 - 10 * number)] for part in ones)]
        answer = talk.decode(party.handle(talk.encode(Message(Kind.SUMS, session, 0, number, {}, parts))))
        assert (answer.kind == Kind.ABORT) == (number == 6)
    assert "than a tree of 3 leaves" in answer.fields["reason"]
    greet(party, talk, session, run.label)
    talk.decode(party.handle(talk.encode(Message(Kind.TREE, session, 0))))
    talk.decode(party.handle(talk.encode(Message(Kind.SUMS, session, 0, 0, {}, [pack_rows(np.arange(300), 300), *ones]))))
    split = {"feature": 0, "threshold": 0, "default_left": True}
    answer = talk.decode(
        party.handle(talk.encode(Message(Kind.SPLIT, session, 0, 0, split, [pack_rows(np.arange(300), 300)])))
    )
    assert answer.kind == Kind.SPLIT
    left = np.unpackbits(np.frombuffer(answer.part(0), np.uint8), count=300).astype(bool)
    split = {"feature": 0, "threshold": 1, "default_left": True}
    data = talk.encode(Message(Kind.SPLIT, session, 0, 1, split, [pack_rows(np.flatnonzero(left), 300)]))
    assert "a node without sums" in talk.decode(party.handle(data)).fields["reason"]
    with pytest.raises(ProtocolError, match="trees of 2 to 5"):
        from securegbm.feature_party.policy import FeaturePolicy

        pair(*columns[:2], quick(), FeaturePolicy(allow_plain=True, max_leaves=5))
