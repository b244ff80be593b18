"""Where the label party's sums and decisions come from: its own columns, and both parties' columns by the protocol."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from securegbm.crypto.sums import LabelSums
from securegbm.label_party.checks import SumChecks
from securegbm.label_party.spot_checks import SpotChecks
from securegbm.tables.binning import BinLayout, Bins, EntryIndex
from securegbm.tables.table import pack_rows, unpack_bits
from securegbm.trees.growth import Rows
from securegbm.trees.objectives import FixedPoint, Floats
from securegbm.trees.search import Flags, Split
from securegbm.wire.channel import Conversation
from securegbm.wire.messages import Kind

Upload = tuple[dict[str, Any], list[bytes]]
"""Header and parts that carry hidden vectors."""


class OwnColumns:
    """Sums and decisions on the label party's own columns, in the clear."""

    def __init__(self, layouts: list[BinLayout], bins: Bins) -> None:
        self.layouts, self.bins = layouts, bins
        self._index = EntryIndex(layouts)

    def load(self, gradient: FixedPoint, hessian: FixedPoint) -> None:
        """Begin a tree with these derivatives of all rows."""
        self.vectors = (gradient, hessian)

    def totals(self, rows: Rows) -> tuple[float, float]:
        """Sums over `rows`."""
        gradient, hessian = (float(v.integers[rows].sum() * v.step) for v in self.vectors)
        return gradient, hessian

    def sums(self, rows: Rows) -> tuple[Floats, Floats]:
        """Sums over `rows` per (feature, bin)."""
        from securegbm.trees.histograms import sums_of_bins

        g, h = self.vectors
        found = sums_of_bins(self.bins, self._index.starts, self._index.size, rows, (g.integers, h.integers))
        return found[0] * g.step, found[1] * h.step

    def decide(self, split: Split, rows: Rows) -> Flags:
        """Who goes left."""
        layout = self.layouts[split.feature]
        return layout.goes_left(self.bins[rows, split.feature], split.threshold, split.default_left, split.categories)


class Request:
    """A node whose sums are asked for: named and hidden once for all partners that can use the same ciphertexts.

    Args:
        own: The label party's columns and the tree's derivatives.
        sampled: The tree's rows.
        n_rows: Rows of the table.
        hides: Ciphertexts cover all sampled rows, so that the node stays hidden.
        rows: The node's.

    Attributes:
        own: g and h of the node's rows.
        naming: What tells the feature party the rows.
    """

    def __init__(self, own: OwnColumns, sampled: Rows, n_rows: int, hides: bool, rows: Rows) -> None:
        vectors = [vector.integers for vector in own.vectors]
        self._sent = self.own = [vector[rows] for vector in vectors]
        self.naming = [] if hides else [pack_rows(rows, n_rows)]
        self.fields = {"all_rows": True} if hides else {}
        if hides:
            member = np.zeros(n_rows, dtype=np.int64)
            member[rows] = 1
            self._sent = [(vector * member)[sampled] for vector in vectors]
        self._uploads: dict[Hashable, Upload] = {}

    def upload(self, sums: LabelSums) -> Upload:
        """Header and parts for a partner; no later request sends the same again."""
        name = sums.sharing(len(self._sent[0]))
        if name not in self._uploads:
            self._uploads[name] = sums.hide(self._sent)
        return self._uploads[name]


class PartnerColumns:
    """A feature party's columns through the protocol (P2 to P6)."""

    def __init__(
        self,
        own: OwnColumns,
        talk: Conversation,
        sums: LabelSums,
        tree: int,
        sampled: Rows,
        n_rows: int,
        hides: bool,
        checks: SumChecks,
        spot: SpotChecks | None = None,
    ) -> None:
        self._checks, self._spot = checks, spot
        self._own, self._talk, self._hidden = own, talk, sums
        self._tree, self._n_rows, self._hides = tree, n_rows, hides
        self._is_sampled = np.zeros(n_rows, dtype=bool)
        self._is_sampled[sampled] = True
        self._asked = self._splits = 0

    def upload(self, request: Request) -> Upload:
        """What this partner is sent of a request."""
        return request.upload(self._hidden)

    def sums(self, request: Request, upload: Upload) -> list[Floats]:
        """Its sums of gradients and hessians over the rows of a request, decrypted."""
        header, parts = upload
        reply = self._talk.ask(Kind.SUMS, self._tree, self._asked, header | request.fields, request.naming + parts)
        self._asked += 1
        found = self._hidden.reveal(header, reply.parts, len(request.own))
        self._checks.sums(found, request.own)
        return [other.astype(np.float64) * vector.step for other, vector in zip(found, self._own.vectors, strict=True)]

    def decide(self, split: Split, rows: Rows) -> Flags:
        """Which of `rows` it sends left; `split.feature` counts its own columns."""
        fields = {
            "feature": split.feature,
            "threshold": split.threshold,
            "default_left": split.default_left,
        }
        if split.categories:
            fields["categories"] = list(split.categories)
        number, self._splits = self._splits, self._splits + 1
        if self._hides:
            reply = self._talk.ask(Kind.SPLIT, self._tree, number, fields | {"all_rows": True})
            left = unpack_bits(reply.part(0), self._n_rows)[rows]
            return self._checked(split, rows, left)
        reply = self._talk.ask(Kind.SPLIT, self._tree, number, fields, [pack_rows(rows, self._n_rows)])
        return self._checked(split, rows, unpack_bits(reply.part(0), len(rows)))

    def _checked(self, split: Split, rows: Rows, left: Flags) -> Flags:
        column = split.feature
        vectors, is_sampled = self._own.vectors, self._is_sampled[rows]
        own = [vector.integers[rows[is_sampled]] for vector in vectors]
        self._checks.decision(split, column, left[is_sampled], own, (vectors[0].step, vectors[1].step))
        if self._spot is not None:
            self._spot.check(self._talk, self._tree, split, column, rows, left)
        return left


class JointColumns:
    """Own columns, then those of every partner, which are asked at once.

    Args:
        own: Own columns.
        partners: Those of the partners, in order.
        widths: How many columns each has.
        together: Calls a function of every partner and waits for all.
        request: Prepares a node's rows.
    """

    def __init__(
        self,
        own: OwnColumns,
        partners: Sequence[PartnerColumns],
        widths: Sequence[int],
        together: Callable[[Sequence[Callable[[], Any]]], list[Any]],
        request: Callable[[Rows], Request],
    ) -> None:
        self._own, self._partners, self._together, self._request = own, partners, together, request
        self._starts = np.cumsum([len(own.layouts), *widths])

    def totals(self, rows: Rows) -> tuple[float, float]:
        """Sums over `rows`."""
        return self._own.totals(rows)

    def sums(self, rows: Rows) -> tuple[Floats, Floats]:
        """Own sums in the clear, then the partners', decrypted."""
        request = self._request(rows)
        theirs = self._together([partial(partner.sums, request, partner.upload(request)) for partner in self._partners])
        gradient, hessian = (np.concatenate(both) for both in zip(self._own.sums(rows), *theirs, strict=True))
        return gradient, hessian

    def decide(self, split: Split, rows: Rows) -> Flags:
        """Own decision, or the bits of the partner whose column it is."""
        number = int(np.searchsorted(self._starts, split.feature, side="right")) - 1
        if number < 0:
            return self._own.decide(split, rows)
        local = replace(split, feature=split.feature - int(self._starts[number]))
        waiting: list[Callable[[], Any]] = [tuple] * len(self._partners)
        waiting[number] = partial(self._partners[number].decide, local, rows)
        return self._together(waiting)[number]
