"""What `max_bin` costs: megabytes and CPU seconds a tree, and AUC on tables of a folder of data."""

import argparse
import dataclasses
import time
from pathlib import Path

import numpy as np

from claimkit.assets import Assets
from securegbm.claims.data import FOLDERS, load
from securegbm.claims.quality import secure_auc
from securegbm.config import TrainConfig
from securegbm.feature_party.party import FeatureParty
from securegbm.feature_party.policy import FeaturePolicy
from securegbm.label_party.party import LabelParty
from securegbm.tables.binning import BinConfig
from securegbm.tables.table import Table
from securegbm.wire.channel import LocalChannel

BINS = (15, 31, 63, 255)


def cost(max_bin: int) -> str:
    """A second tree of 31 leaves on 13,000 rows and 5 + 5 normal columns, both parties in one process."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(13_000, 10))
    labels = (values @ rng.normal(size=10) + rng.normal(size=13_000) > 0).astype(float)
    reports, marks = [], []

    def on_tree(report) -> None:
        reports.append(report)
        marks.append(time.process_time())

    config = TrainConfig(n_estimators=2, bins=BinConfig(max_bin))
    party = FeatureParty(Table.of(values[:, 5:]), FeaturePolicy())
    LabelParty(Table.of(values[:, :5]), labels, config, LocalChannel(party), on_tree=on_tree).train()
    megabytes = (reports[1].bytes_sent + reports[1].bytes_received) / 1e6
    return f"{megabytes:.0f} MB, {marks[1] - marks[0]:.1f} CPU s"


def main() -> None:
    """Print the table, a row as it is done."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder of data sets")
    parser.add_argument("tables", nargs="*", default=FOLDERS, help=f"of {', '.join(FOLDERS)}; all when none is given")
    given = parser.parse_args()
    print("| | " + " | ".join(f"{count} bins" for count in BINS) + " |\n|" + "---|" * (len(BINS) + 1), flush=True)
    print("| a tree, 13,000 rows, 5 + 5 columns | " + " | ".join(map(cost, BINS)) + " |", flush=True)
    clear, policy = TrainConfig(n_estimators=30, encryption="none"), FeaturePolicy(allow_plain=True)
    for name in given.tables:
        data = load(name, Assets(given.data), 0)
        found = [secure_auc(data, dataclasses.replace(clear, bins=BinConfig(count)), policy) for count in BINS]
        print(f"| test AUC, {name}, 30 trees | " + " | ".join(f"{auc:.4f}" for auc in found) + " |", flush=True)


if __name__ == "__main__":
    main()
