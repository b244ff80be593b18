"""What the feature party agrees to, and the check of the label party's greeting against it."""

from dataclasses import dataclass
from typing import Any

from securegbm.errors import SecureGBMError
from securegbm.parameters import BFVParameters
from securegbm.table import Table


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
                f"the label party has {fields['rows']} rows, the feature party {len(table.ids)}; align the tables"
            )
        if fields["ids"] != table.id_digest(key):
            raise SecureGBMError(
                "the ids or their order differ between the parties (or the shared secrets do); align the tables by id"
            )
        if fields["label"] in table.names:
            raise SecureGBMError(
                f"column {fields['label']!r} is the label and is in the feature party's table; "
                "labels belong to the label party alone, remove it here"
            )
        if self.require_hiding and not fields["hide_instances"]:
            raise SecureGBMError("the feature party requires hide_instances; set it at the label party")
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
        return parameters
