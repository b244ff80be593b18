"""Partners who cheat: each attack first works with the defence off, then meets it."""

import dataclasses
import math
import random
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest

from securegbm.config import TrainConfig
from securegbm.crypto.commitment import Commitment, depth, is_in
from securegbm.crypto.label_cipher import LabelCipher
from securegbm.crypto.noise import discrete_gaussian
from securegbm.crypto.packing import adaptive_stride
from securegbm.crypto.parameters import BFVParameters
from securegbm.errors import ProtocolError, SecureGBMError
from securegbm.feature_party.ledger import Ledger
from securegbm.feature_party.nodes import Nodes
from securegbm.feature_party.party import FeatureParty
from securegbm.feature_party.policy import FeaturePolicy
from securegbm.label_party.checks import SumChecks
from securegbm.label_party.party import LabelParty
from securegbm.label_party.spot_checks import SpotChecks, chance_found
from securegbm.state.store import TreeStore
from securegbm.tables.binning import BinConfig, BinLayout, EntryIndex, find_bins
from securegbm.tables.table import Table, pack_rows
from securegbm.trees.growth import GrowthConfig
from securegbm.trees.rules import SplitRules
from securegbm.wire.channel import Conversation, LocalChannel
from securegbm.wire.messages import Kind, new_run

N = 600


def greeting(table, **changes):
    fields = {
        "purpose": "train", "rows": len(table.ids), "ids": table.id_digest(b"k"), "trees": 1, "leaves": 7,
        "bins": vars(BinConfig(8)), "hide_instances": False, "privacy_bits": 4, "encryption": "toy",
        "parameters": BFVParameters.choose(len(table.ids), 4, "toy").to_dict(),
    }  # fmt: skip
    return fields | changes


def read_marks(policy, plain_bits, least=0):
    """The planted-marks attack: one request, row k's gradient is 2^k; the share of bins read, and how many rows."""
    values = np.random.default_rng(0).normal(size=(N, 4))
    table = Table.of(values)
    party = FeatureParty(table, policy, b"k")
    parameters = dataclasses.replace(BFVParameters.choose(N, 4, "toy"), plain_bits=plain_bits)
    talk = Conversation(LocalChannel(party), new_run(), b"k")
    reply = talk.ask(Kind.HELLO, fields=greeting(table, parameters=parameters.to_dict()))
    entries, cipher = EntryIndex([BinLayout(**held) for held in reply.field("layouts")]), LabelCipher(parameters)
    talk.ask(Kind.KEYS, parts=[cipher.public_key, b""])
    talk.ask(Kind.TREE, 0)
    powers = np.arange(least, plain_bits - 1)
    vector = np.zeros(N, dtype=np.int64)
    vector[: len(powers)] = 1 << powers
    stride = adaptive_stride(N, entries.size, 4096, False)
    blocks = [vector[at : at + stride] for at in range(0, N, stride)]
    parts = [pack_rows(np.arange(N), N), *cipher.encrypt(blocks), *cipher.encrypt(blocks)]
    half = talk.ask(Kind.SUMS, 0, 0, {"stride": stride}, parts).parts
    sums = cipher.decrypt(half[: len(half) // 2], 0, entries.size, stride, 1)
    right = 0
    for row, power in enumerate(powers):
        inside = (sums + ((1 << least) >> 1)) >> int(power) & 1
        for column in range(4):
            hits = entries.bin[(entries.feature == column) & (inside == 1)]
            right += len(hits) == 1 and hits[0] == party._run._bins[row, column]
    return right / (4 * len(powers)), len(powers)


@pytest.fixture
def trusting(monkeypatch):
    """The feature party as it would be without the tie between modulus and precision."""
    monkeypatch.setattr(BFVParameters, "__eq__", lambda self, other: True)


TOY = FeaturePolicy(allow_toy=True)
TIGHT = 1 + 4 + N.bit_length()


def test_marks_in_a_wide_modulus_read_every_bin(trusting):
    share, rows = read_marks(FeaturePolicy(allow_toy=True, min_bin_rows=30), 40)
    assert rows == 39
    assert share > 0.9


def test_a_modulus_wider_than_the_agreed_precision_is_refused():
    with pytest.raises(SecureGBMError, match="a wider modulus carries more than gradients"):
        read_marks(TOY, 40)
    with pytest.raises(SecureGBMError, match="gradients of 4 bits"):
        party = FeatureParty(Table.of(np.eye(2)), FeaturePolicy(allow_toy=True), b"k")
        object.__setattr__(party.policy, "max_privacy_bits", 3)
        Conversation(LocalChannel(party), new_run(), b"k").ask(Kind.HELLO, fields=greeting(party.table))


def test_an_honest_modulus_still_carries_a_few_marks():
    """What no switch but noise takes away: bits + log2(rows) rows per request, as the README says."""
    assert read_marks(TOY, TIGHT) == (1.0, TIGHT - 1)


@pytest.mark.parametrize("noise", [4.0, 32.0])
def test_noise_at_the_feature_party_drowns_marks(noise, from_a_seed):
    """Marks below the noise are lost; those eight deviations above it stay readable, log2(t / 16 sigma) of them."""
    policy = dataclasses.replace(TOY, noise=noise)
    assert read_marks(policy, TIGHT)[0] < 0.6
    least = int(np.ceil(np.log2(16 * noise * 16)))
    if least < TIGHT - 1:
        share, rows = read_marks(policy, TIGHT, least)
        assert rows == TIGHT - 1 - least <= 5
        assert share > 0.9


class LabelReader(FeatureParty):
    """A lying feature party: one bin's sum of g is `FACTOR` x (target + a row whose label it knows); the rest fits.

    A large gain, and so a request to split, says that both labels are equal.
    """

    FACTOR = 30

    def begin(self, labels, targets, known):
        self.targets, self.known, self.guess = targets, known, {}

    def _answer_within(self, message):
        fields, parts = super()._answer_within(message)
        if message.kind == Kind.TREE:
            self.guess[message.tree] = 0
        if message.kind == Kind.SUMS:
            parts = self._lie(message)
        if message.kind == Kind.SPLIT:
            self.guess[message.tree] = 1
            parts = [np.packbits(np.arange(len(self.table.ids)) < len(self.table.ids) // 2).tobytes()]
        return fields, parts

    def _lie(self, message):
        n, run, stride = len(self.table.ids), self._run, message.fields["stride"]
        cipher = run._sums._workers._local
        blocks = -(-n // stride)
        two = np.isin(np.arange(n), [self.targets[message.tree], self.known])
        first = np.arange(n) < n // 2
        weights = [(self.FACTOR * two, 1 - self.FACTOR * two), (first * 1, ~first * 1)]
        out = []
        for which, pair in enumerate(weights):
            cipher._masks = lambda *_, pair=pair: self._masks(cipher, pair, stride, n)
            entries = np.zeros((n, 1), dtype=np.int32)
            vector = message.parts[which * blocks : (which + 1) * blocks]
            out += cipher.histogram([vector], entries, run._index.size, stride, range(1))[0]
            del cipher._masks
        return out

    @staticmethod
    def _masks(cipher, pair, stride, n):
        degree, t = cipher.ring.parameters.degree, cipher.ring.parameters.plain_modulus
        for start in range(0, n, stride):
            coefficients = np.zeros(degree, dtype=np.int64)
            for entry, weight in enumerate(pair):
                part = weight[start : start + stride]
                for row, value in enumerate(part.tolist()):
                    at = entry * stride - row
                    coefficients[at % degree] += value if at >= 0 else -value
            mask = cipher.ring.plaintext((coefficients % t).astype(np.uint64))
            cipher.ring.evaluator.transform_to_ntt_inplace(mask, cipher._first)
            yield [(0, mask)]


def read_labels(trees=8, n=200):
    """Labels read, trees begun, and what the label party said."""
    rng = np.random.default_rng(3)
    own, other = rng.normal(size=(n, 2)), rng.normal(size=(n, 1))
    labels = (rng.random(n) < 0.5) * 1.0
    known = int(np.flatnonzero(labels == 1)[0])
    targets = [int(i) for i in rng.permutation(n) if i != known][:trees]
    party = LabelReader(Table.of(other), FeaturePolicy(require_hiding=True, allow_toy=True), b"k")
    party.begin(labels, targets, known)
    rules = SplitRules(min_data_in_leaf=20)
    config = TrainConfig(n_estimators=trees, growth=GrowthConfig(2), bins=BinConfig(8), hide_instances=True,
                         encryption="toy", rules=rules, learning_rate=0.01)  # fmt: skip
    said = ""
    try:
        LabelParty(Table.of(own), labels, config, LocalChannel(party), key=b"k", ring="seal").train()
    except SecureGBMError as error:
        said = str(error)
    right = sum(party.guess[tree] == labels[targets[tree]] for tree in party.guess)
    return right, len(party.guess), said


@pytest.mark.parametrize("checked", ["nothing", "totals only", "all"])
def test_labels_are_read_by_lying_sums_unless_decisions_are_held_against_them(checked, monkeypatch):
    if checked != "all":
        monkeypatch.setattr(SumChecks, "decision", lambda *_: None)
    if checked == "nothing":
        monkeypatch.setattr(SumChecks, "sums", lambda *_: None)
    right, trees, said = read_labels()
    if checked == "all":
        assert "do not have the sums it gave for them" in said
        assert trees <= 4
    else:
        assert (right, trees, said) == (8, 8, "")


def lied_to(quick, pair, problem, lie, **changes):
    """Train with a feature party whose replies to a kind of message `lie` changes."""
    values, labels, _ = problem(300, 4)
    party = FeatureParty(Table.of(values[:, 4:]), FeaturePolicy(allow_plain=True, open_cells=10_000), b"k")
    honest = party._answer_within

    def answer(message):
        fields, parts = honest(message)
        return fields, lie(message, parts) or parts

    party._answer_within = answer
    return LabelParty(Table.of(values[:, :4]), labels, quick(**changes), LocalChannel(party), key=b"k").train()


def ints(part):
    return np.frombuffer(part, dtype="<i8").copy()


@pytest.mark.parametrize("what", ["total", "negative", "impossible", "all left", "other rows"])
def test_sums_and_decisions_that_cannot_be_are_one_sentence(what, quick, pair, problem):
    def lie(message, parts):
        if message.kind == Kind.SUMS and what in ("total", "negative", "impossible"):
            g, h = map(ints, parts)
            if what == "total":
                g[0] += 1
            elif what == "negative":
                h[0], h[1] = h[0] - 2 * abs(h).max(), h[1] + 2 * abs(h).max()
            else:
                h[0] += 1
                h[1] -= 1
            return [g.tobytes(), h.tobytes()]
        if message.kind == Kind.SPLIT and what == "all left":
            return [b"\xff" * len(parts[0])]
        if message.kind == Kind.SPLIT and what == "other rows":
            left = np.unpackbits(np.frombuffer(parts[0], np.uint8))
            left[:1] = 1 - left[:1]
            return [np.packbits(left).tobytes()]
        return None

    sentence = {"total": "are not those of the node", "negative": "belong to no rows", "impossible": "belong to no rows",
                "all left": "leaves a child without rows", "other rows": "do not have the sums"}  # fmt: skip
    with pytest.raises(ProtocolError, match=sentence[what]):
        lied_to(quick, pair, problem, lie)


def test_a_feature_party_that_makes_its_columns_up_is_found_by_spot_checks(quick, problem, pair):
    """Sums and decisions fit each other, but not the table it committed to: only opened cells show it.

    One split is the feature party's, and sends 24 of its 47 rows the other way: four opened rows miss that in one run of
    twenty, all rows never.
    """
    values, labels, _ = problem(300, 4)

    def train(spot_checks, honest, opens_lies=False):
        party = FeatureParty(Table.of(values[:, 4:]), FeaturePolicy(allow_plain=True, open_cells=10_000), b"k")
        answer = party._answer_within

        def lying(message):
            if message.kind == Kind.TREE and party._run is not None and not honest:
                draw = np.random.default_rng(message.tree)
                party._run._bins = draw.permuted(party._run._bins, axis=0)
                if opens_lies:
                    party._run._commitment = Commitment(party._run._bins, b"another table than the one of the greeting")
            return answer(message)

        party._answer_within = lying
        config = quick(spot_checks=spot_checks)
        return LabelParty(Table.of(values[:, :4]), labels, config, LocalChannel(party), key=b"k").train()

    untouched = train(0, honest=True).to_dict()
    assert all(train(count, honest=True).to_dict() == untouched for count in (4, len(values)))
    assert train(0, honest=False).trees
    with pytest.raises(ProtocolError, match="does not stand in the table it committed to, or goes the other way"):
        train(len(values), honest=False)
    with pytest.raises(ProtocolError, match="does not stand in the table it committed to"):
        train(4, honest=False, opens_lies=True)
    with pytest.raises(SecureGBMError, match="commits to no table"):
        pair(values, labels, quick(spot_checks=1))


def test_spot_checks_find_a_lie_as_often_as_they_say(monkeypatch):
    """The hypergeometric law; 1,000 splits of 40 rows of which 8 lie, drawn with a seed, within five standard errors."""
    for rows, wrong, count in ((47, 24, 4), (47, 24, 24), (1_000_000, 1_000, 100), (5, 0, 5), (5, 5, 1), (9, 2, 40)):
        wanted = 1 - Fraction(math.comb(rows - wrong, min(count, rows)), math.comb(rows, min(count, rows)))
        assert chance_found(rows, wrong, count) == pytest.approx(float(wanted), abs=1e-14)
    drawn = random.Random(0)
    monkeypatch.setattr("secrets.SystemRandom", lambda: drawn)
    column = find_bins(np.arange(40.0), BinConfig(15))
    bins, split = column.transform(np.arange(40.0)), SimpleNamespace(threshold=6, default_left=False, categories=())
    held = Commitment(bins[:, None], b"secret")

    class Honest:
        def ask(self, kind, tree, parts):
            opened = [held.open(int(row), 0) for row in np.frombuffer(parts[0], "<u4")]
            return SimpleNamespace(parts=[b"".join(o.value.to_bytes(2, "little") for o in opened)] + [
                b"".join(getattr(o, name) for o in opened) for name in ("salt", "cells", "path")])  # fmt: skip

    left = column.layout.goes_left(bins, split.threshold, split.default_left, split.categories)
    left[::5] = ~left[::5]
    for count in (3, 20):
        found = 0
        for _ in range(1_000):
            try:
                SpotChecks(held.root, count, 40, [column.layout]).check(Honest(), 0, split, 0, np.arange(40), left)
            except ProtocolError:
                found += 1
        chance = chance_found(40, 8, count)
        assert abs(found / 1_000 - chance) < 5 * np.sqrt(chance * (1 - chance) / 1_000)


def test_an_opening_fits_its_cell_and_no_other():
    bins = np.random.default_rng(0).integers(0, 9, (11, 3)).astype(np.uint16)
    held = Commitment(bins, b"secret")
    for row in range(11):
        opening = held.open(row, 1)
        assert is_in(held.root, opening, row, 1)
        assert len(opening.path) == 32 * depth(11)
        assert not is_in(held.root, opening, (row + 1) % 11, 1)
        assert not is_in(held.root, opening, row, 2)
        assert not is_in(held.root, dataclasses.replace(opening, value=opening.value + 1), row, 1)
        assert not is_in(held.root, dataclasses.replace(opening, path=opening.path[32:]), row, 1)
    assert Commitment(bins, b"other").root != held.root
    with pytest.raises(ProtocolError, match="opens no more cells"):
        ledger = Ledger(TreeStore(None), 10, 5, 2)
        ledger.open(3)
        ledger.open(3)


def flags(*rows):
    return np.isin(np.arange(10), rows)


def test_only_nodes_of_the_open_tree_are_summed_and_split():
    """Overlapping sets, whose difference would isolate a row, repeated sets, and splits without sums are refused."""
    nodes = Nodes()
    with pytest.raises(ProtocolError, match="no node with sums"):
        nodes.split(flags(*range(10)), flags(1))
    nodes.sums(flags(*range(8)))
    for bad, what in ((range(8), "twice"), ((1, 9), "no part of a node")):
        with pytest.raises(ProtocolError, match=what):
            nodes.sums(flags(*bad))
    nodes.sums(flags(0, 1, 2))  # a split of the label party; 3..7 is the sibling
    with pytest.raises(ProtocolError, match="no part of a node"):
        nodes.sums(flags(2, 3))
    nodes.split(flags(3, 4, 5, 6, 7, 9), flags(3, 4, 9))  # row 9 is not in the sample
    with pytest.raises(ProtocolError, match="no node with sums"):
        nodes.split(flags(3, 4), flags(3))
    nodes.sums(flags(3, 4))
    nodes.split(flags(5, 6, 7), flags(5))
    with pytest.raises(ProtocolError, match="no node with sums"):
        nodes.split(flags(3, 4, 5), flags(3))
    with pytest.raises(ProtocolError, match="over fewer rows"):
        few = Nodes(fewest=3)
        few.sums(flags(*range(8)))
        few.sums(flags(*range(6)))


def test_a_run_has_a_budget_over_all_its_restarts():
    store, cost = TreeStore(None), 4
    for _ in range(5):
        ledger = Ledger(store, 20, 0, cost)
        ledger.begin(3)
        ledger.ask(np.array([0]))
    with pytest.raises(ProtocolError, match="all the sums that the feature party grants"):
        Ledger(store, 20, 0, cost).begin(3)
    store = TreeStore(None)
    for _ in range(20):
        ledger = Ledger(store, 20, 0, cost)
        ledger.begin(3)
        ledger.ask(np.array([0, 1]))
        ledger.commit()
    assert store.ledger["asked"] == 20
    assert store.ledger["touched"] == 20
    ledger = Ledger(TreeStore(None), 20, 0, 2)
    ledger.begin(3)
    with pytest.raises(ProtocolError, match="than a tree of 1 leaves needs"):
        for _ in range(3):
            ledger.ask(np.array([0]))


def test_noise_is_a_discrete_gaussian_and_has_an_account(from_a_seed):
    """Mean and variance within five standard errors; rho and epsilon by hand."""
    for sigma in (0.7, 3.0, 5e7):
        drawn = discrete_gaussian(sigma, 40_000).astype(float)
        assert abs(drawn.mean()) < 5 * sigma / 200
        assert abs(drawn.var() / sigma**2 - 1) < 5 * np.sqrt(2 / 40_000)
    share = np.mean(discrete_gaussian(0.7, 40_000) == 0)
    wanted = 1 / np.exp(-(np.arange(-9, 10) ** 2) / (2 * 0.49)).sum()
    assert abs(share - wanted) < 5 * np.sqrt(wanted / 40_000)
    store = TreeStore(None)
    ledger = Ledger(store, 100, 0, 6)
    ledger.begin(2)
    for _ in range(3):
        ledger.ask(np.array([1]))
    ledger.commit()
    rho = 3 * 2 * 5 / 10.0**2
    assert ledger.epsilon(10.0, 5) == pytest.approx(rho + 2 * np.sqrt(rho * np.log(1e6)))
    assert ledger.epsilon(0.0, 5) == np.inf


def test_training_with_noise_is_close_and_told_in_both_logs(problem, pair, quick):
    values, labels, _ = problem(800, 21)
    told = []
    policy = FeaturePolicy(allow_plain=True, noise=1.0)
    run = pair(values, labels, quick(), policy, log=lambda way, message, size, transcript: told.append(message))
    said = [message.fields["epsilon"] for message in told if "epsilon" in message.fields]
    assert len(said) == 3
    assert said[-1].endswith("at delta 1e-06")
    exact = pair(values, labels, quick())
    assert run.half.to_dict() != exact.half.to_dict()
    encrypted = pair(values, labels, quick(encryption="standard", merge_replies=True, n_estimators=1), dataclasses.replace(
        policy, noise=0.001))  # fmt: skip
    assert encrypted.half.trees[0].num_nodes > 2


def test_wire_numbers_say_nothing_of_the_shape_of_a_tree(problem, pair, quick):
    """Requests and splits are counted, not named by their place in the tree."""
    values, labels, _ = problem(300, 2)
    for hides in (False, True):
        seen = {Kind.SUMS: [], Kind.SPLIT: []}

        def log(way, message, size, transcript, seen=seen):
            if way == "sent" and message.kind in seen:
                seen[message.kind].append(message.node)

        pair(values, labels, quick(n_estimators=1, hide_instances=hides), log=log)
        for numbers in seen.values():
            assert numbers == list(range(len(numbers)))
        assert len(seen[Kind.SPLIT]) > 1


def test_the_noise_budget_of_every_reply_is_looked_at():
    parameters = BFVParameters.choose(100, 4, "toy")
    label = LabelCipher(parameters)
    replies = label.encrypt([np.arange(8)] * 3)
    decryptor, budgets = label._decryptor, iter((9, 9, 0))

    class Watched:
        def __getattr__(self, name):
            return getattr(decryptor, name)

        def invariant_noise_budget(self, cipher):
            return next(budgets)

    label._decryptor = Watched()
    with pytest.raises(ProtocolError, match="no noise budget left"):
        label.decrypt(replies, 0, 3 * 4096 // 1024, 1024, 1)
