"""What the feature party agrees to, and the check of the label party's greeting against it."""

from dataclasses import dataclass
from typing import Any, Literal

from securegbm.crypto.parameters import BFVParameters
from securegbm.errors import SecureGBMError
from securegbm.ring.choice import RingName
from securegbm.tables.table import Table

Unknown = Literal["flag", "hide", "refuse"]


@dataclass(frozen=True)
class FeaturePolicy:
    """What the feature party agrees to; the label party cannot change it.

    Args:
        min_bin_rows: Sums of bins with fewer rows than this in a request are merged with their neighbours' (0: never;
            then the trees equal LightGBM's).
        require_hiding: Refuse runs that tell this party which rows are in a node, or that skip hiding.
        allow_plain: Answer requests without encryption (tests, baselines).
        allow_toy: Accept parameters that do not sanitise replies (tests, demonstrations).
        max_trees: Refuse to take part in more trees.
        max_leaves: Refuse larger trees; within a tree, requests beyond what its leaves need end the session.
        workers: Processes for the arithmetic (0: this one).
        cache_bytes: Memory for masks of row sets that come again.
        shuffle_columns: Number the columns anew in every job, so that their order says nothing (ties between columns
            may then break otherwise than in a joint LightGBM).
        max_privacy_bits: Most fractional bits of gradients; the plaintext modulus is tied to them.
        min_node_rows: Refuse sums over nodes with fewer rows, and over their siblings (nodes that are shown only).
        noise: Standard deviation of discrete Gaussian noise on every sum, in units of gradients (0: none).
        max_sums: Requests for sums a run may make over all its restarts (0: what its trees need, and some restarts).
        open_cells: Cells of the binned table that a run may have opened for the label party's spot checks.
        unknown: Rows that this party does not know when serving: `flag` scores them as missing and says which, `hide`
            scores them and says nothing, `refuse` answers no batch that holds one.
        ring: The arithmetic of the encryption: `auto` takes what the label party offers, `numba` insists, `seal` is SEAL.
    """

    min_bin_rows: int = 0
    require_hiding: bool = False
    allow_plain: bool = False
    allow_toy: bool = False
    max_trees: int = 10_000
    max_leaves: int = 256
    workers: int = 0
    cache_bytes: int = 1 << 30
    shuffle_columns: bool = False
    max_privacy_bits: int = 23
    min_node_rows: int = 0
    noise: float = 0.0
    max_sums: int = 0
    open_cells: int = 0
    unknown: Unknown = "flag"
    ring: RingName = "auto"

    def __post_init__(self) -> None:
        if not 4 <= self.max_privacy_bits <= 23:
            raise SecureGBMError(f"max_privacy_bits is {self.max_privacy_bits}; give a number from 4 to 23")
        if not 0.0 <= self.noise <= 1e4:
            raise SecureGBMError(f"noise is {self.noise}; give a standard deviation from 0 to 10000, in units of gradients")
        if min(self.min_node_rows, self.max_sums, self.open_cells, self.min_bin_rows) < 0:
            raise SecureGBMError("min_bin_rows, min_node_rows, max_sums and open_cells must be 0 or more")
        if self.unknown not in ("flag", "hide", "refuse"):
            raise SecureGBMError(f"unknown is {self.unknown!r}; use flag, hide or refuse")

    def check(self, fields: dict[str, Any], table: Table, key: bytes) -> BFVParameters | None:
        """Refuse a greeting that does not fit the table or this policy.

        Args:
            fields: The greeting's.
            table: This party's columns.
            key: Secret shared with the label party.

        Returns:
            The parameters of the encryption; none when both agreed to work without.

        Raises:
            SecureGBMError: With the one reason.
        """
        if fields["rows"] != len(table.ids):
            raise SecureGBMError(
                f"the parties' numbers of rows differ (the label party has {fields['rows']}); align the tables"
            )
        if fields["ids"] != table.id_digest(key):
            raise SecureGBMError(
                "the ids or their order differ between the parties (or the shared secrets do); align the tables by id"
            )
        if self.require_hiding and not fields["hide_instances"]:
            raise SecureGBMError("the feature party requires hide_instances; set it at the label party")
        if fields["privacy_bits"] > self.max_privacy_bits:
            raise SecureGBMError(
                f"gradients of {fields['privacy_bits']} bits were announced; this party accepts at most "
                f"{self.max_privacy_bits} (`--privacy-bits`)"
            )
        if fields["trees"] > self.max_trees:
            raise SecureGBMError(
                f"{fields['trees']} trees were asked for; this party takes part in at most {self.max_trees}"
            )
        if not 2 <= fields["leaves"] <= self.max_leaves:
            raise SecureGBMError(
                f"trees of {fields['leaves']} leaves were asked for; this party takes part in trees of 2 to "
                f"{self.max_leaves} leaves"
            )
        if fields["encryption"] == "none":
            if not self.allow_plain:
                raise SecureGBMError("the label party asks to work without encryption; this party refuses that")
            return None
        parameters = BFVParameters.from_dict(fields["parameters"])
        if parameters.toy and not self.allow_toy:
            raise SecureGBMError("the label party asks for toy encryption; this party accepts standard and strong")
        parameters.check(len(table.ids), len(table.names), int(fields["privacy_bits"]))
        bits, strength = int(fields["privacy_bits"]), "toy" if parameters.toy else fields["encryption"]
        if parameters != BFVParameters.choose(len(table.ids), bits, strength, parameters.merge):
            raise SecureGBMError(
                f"the encryption's parameters are not those of {bits} bits and so many rows; a wider modulus carries more "
                "than gradients, so this party refuses it"
            )
        return parameters
