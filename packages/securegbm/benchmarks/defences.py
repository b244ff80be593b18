"""What each defence costs in AUC on tables of a folder of data: a Markdown table."""

import argparse
import dataclasses
from pathlib import Path

from claimkit.assets import Assets
from securegbm.claims.data import FOLDERS, load
from securegbm.claims.quality import secure_auc
from securegbm.config import TrainConfig
from securegbm.feature_party.policy import FeaturePolicy
from securegbm.tables.binning import BinConfig
from securegbm.trees.growth import GrowthConfig

BASE = TrainConfig(n_estimators=10, growth=GrowthConfig(15), bins=BinConfig(31), encryption="none")
OPEN = FeaturePolicy(allow_plain=True)
DEFENCES = {
    "none": (BASE, OPEN),
    "6 bits": (dataclasses.replace(BASE, privacy_bits=6), OPEN),
    "bins of 20 rows": (BASE, dataclasses.replace(OPEN, min_bin_rows=20)),
    "noise 1": (BASE, dataclasses.replace(OPEN, noise=1.0)),
    "noise 4": (BASE, dataclasses.replace(OPEN, noise=4.0)),
    "noise 16": (BASE, dataclasses.replace(OPEN, noise=16.0)),
}


def main() -> None:
    """Print a row per table, as it is done."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder of data sets")
    parser.add_argument("tables", nargs="*", default=FOLDERS, help=f"of {', '.join(FOLDERS)}; all when none is given")
    given = parser.parse_args()
    print("| test AUC, 10 trees | " + " | ".join(DEFENCES) + " |\n|" + "---|" * (len(DEFENCES) + 1), flush=True)
    for name in given.tables:
        data = load(name, Assets(given.data), 0)
        found = [f"{secure_auc(data, config, policy):.4f}" for config, policy in DEFENCES.values()]
        print(f"| {name} | " + " | ".join(found) + " |", flush=True)


if __name__ == "__main__":
    main()
