"""A label party and several feature parties in one process (tests only)."""

import itertools

from securegbm.feature_party.party import FeatureParty
from securegbm.feature_party.policy import FeaturePolicy
from securegbm.label_party.party import LabelParty
from securegbm.tables.table import Table
from securegbm.wire.channel import LocalChannel, Partner


class Group:
    """A label party's table, and feature parties with the rest of it; `fault(partner, data)` befalls every call."""

    def __init__(self, values, labels, config, cuts=(0, 3, 5, 8), folder=None, fault=None):
        self.tables = [Table.of(values[:, a:b], [f"x{i}" for i in range(a, b)]) for a, b in itertools.pairwise(cuts)]
        self.labels, self.config, self.folder, self.told = labels, config, folder, []
        policy = FeaturePolicy(allow_plain=True, allow_toy=True)
        self.parties = [
            FeatureParty(table, policy, b"%d" % number, folder and folder / f"b{number}",
                         tell=lambda sentence, number=number: self.told.append((number, sentence)))
            for number, table in enumerate(self.tables[1:])
        ]  # fmt: skip
        self.partners = [self._partner(number, fault) for number in range(len(self.parties))]

    def _partner(self, number, fault):
        local = LocalChannel(self.parties[number])

        class Channel:
            def call(self, data):
                if fault is not None:
                    fault(number, data)
                return local.call(data)

        return Partner(Channel(), b"%d" % number, f"partner-{number}")

    def label(self, **more):
        state = self.folder and self.folder / "a"
        return LabelParty(self.tables[0], self.labels, self.config, self.partners, state=state, **more)

    def train(self, **more):
        label = self.label(**more)
        return label.train(), [party.half(label.run) for party in self.parties]
