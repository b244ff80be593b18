"""What the label party encrypts once serves every feature party of one key and stride, in one request and never again."""

import numpy as np
import pytest

from securegbm.feature_party.party import FeatureParty
from securegbm.feature_party.policy import FeaturePolicy
from securegbm.label_party.party import LabelParty
from securegbm.ring.label import LabelRing
from securegbm.tables.table import Table
from securegbm.trees.objectives import Objective
from securegbm.wire.channel import LocalChannel, Partner
from securegbm.wire.messages import Endpoint, Kind, peek

VALUES = np.random.default_rng(0).normal(size=(400, 8))
TARGET = VALUES.sum(axis=1) + VALUES[:, 2] * VALUES[:, 6]
LABELS = (TARGET > 0).astype(float)


class Trained:
    """A run of a label party with columns 0 and 1 and feature parties with `cuts` of the others."""

    def __init__(self, config, cuts, policies=None, labels=None, **more):
        values, made = VALUES, LABELS
        own, *theirs = np.split(values[:, : cuts[-1]], cuts[:-1], axis=1)
        policies = policies or [FeaturePolicy(allow_toy=True, allow_plain=True)] * len(theirs)
        parties = [FeatureParty(Table.of(x), policy) for x, policy in zip(theirs, policies, strict=True)]
        self.channels = [LocalChannel(party, record=True) for party in parties]
        partners = [Partner(channel, name=f"party-{at}") for at, channel in enumerate(self.channels)]
        label = LabelParty(Table.of(own), made if labels is None else labels, config, partners, **more)
        self.trees = [tree.to_dict() for tree in label.train().trees]

    def uploads(self, number):
        """Ciphertexts of every request for sums of a partner: the first part names the rows."""
        asked = [data for data in self.channels[number].sent if peek(data)[0] == Kind.SUMS]
        return [tuple(_message(data).parts[1:]) for data in asked]

    def keys(self, number):
        """The mode of the keys that a partner was sent."""
        (sent,) = (data for data in self.channels[number].sent if peek(data)[0] == Kind.KEYS)
        return _message(sent).parts[1]


def _message(data):
    endpoint = Endpoint()
    endpoint.stand(*endpoint.head_of(data))
    return endpoint.decode(data)


@pytest.fixture
def encrypted(monkeypatch):
    """Numbers of rows of the blocks that were encrypted, public keys left out."""
    blocks, real = [], LabelRing.encrypt

    def count(self, vectors, stride):
        if stride < self.ring.degree:
            blocks.append(len(vectors[0]))
        return real(self, vectors, stride)

    monkeypatch.setattr(LabelRing, "encrypt", count)
    return blocks


def test_equal_partners_are_sent_one_encryption_of_a_request_and_another_one_of_the_next(quick, encrypted):
    config = quick(encryption="toy")
    two, clear = Trained(config, (2, 5, 8)), Trained(quick(), (2, 5, 8))
    assert two.trees == clear.trees
    first, second = two.uploads(0), two.uploads(1)
    assert first == second
    assert len(encrypted) == sum(map(len, first))
    parts = [part for request in first for part in request]
    assert len({part[:32] for part in parts}) == len(set(parts)) == len(parts) > 3


def test_partners_whose_strides_differ_are_sent_what_suits_each(quick, encrypted):
    config = quick(encryption="toy", n_estimators=1)
    two, clear = Trained(config, (2, 7, 8)), Trained(quick(n_estimators=1), (2, 7, 8))
    assert two.trees == clear.trees
    first, second = two.uploads(0), two.uploads(1)
    sent = list(zip(first, second, strict=True))
    assert any(one != other for one, other in sent)
    assert len(encrypted) == sum(len(one) + len(other) * (one != other) for one, other in sent)


def test_a_partner_on_seal_has_a_key_of_its_own(quick):
    policies = [FeaturePolicy(allow_toy=True, ring=ring) for ring in ("seal", "numba", "numba")]
    config = quick(encryption="toy", n_estimators=1)
    with pytest.warns(UserWarning, match="uses SEAL"):
        three = Trained(config, (2, 4, 6, 8), policies)
    assert three.trees == Trained(quick(n_estimators=1), (2, 4, 6, 8)).trees
    assert three.uploads(0)[0] != three.uploads(1)[0] == three.uploads(2)[0]


def test_a_partner_that_counts_rows_shares_nothing_with_one_that_adds_noise(quick):
    policies = [FeaturePolicy(allow_toy=True), FeaturePolicy(allow_toy=True, noise=1e-6), FeaturePolicy(allow_toy=True)]
    config = quick(encryption="toy", n_estimators=1, objective=Objective("regression"))
    three = Trained(config, (2, 4, 6, 8), policies, labels=TARGET)
    assert [three.keys(number) for number in range(3)] == [b"counts", b"pair", b"counts"]
    assert three.uploads(0) == three.uploads(2)
    assert not set(sum(three.uploads(0), ())) & set(sum(three.uploads(1), ()))


def test_hidden_nodes_share_ciphertexts_of_all_rows(quick):
    config = quick(encryption="toy", n_estimators=1, hide_instances=True)
    two, clear = Trained(config, (2, 5, 8)), Trained(quick(n_estimators=1), (2, 5, 8))
    assert two.trees == clear.trees
    sent = [[_message(data).parts for data in channel.sent if peek(data)[0] == Kind.SUMS] for channel in two.channels]
    assert sent[0] == sent[1]
