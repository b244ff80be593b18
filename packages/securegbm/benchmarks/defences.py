"""What each defence costs in AUC: `python benchmarks/defences.py DATA_FOLDER [TABLE ...]`, a Markdown table."""

import dataclasses
import sys
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
    """Print a row per table (all six by default), as it is done."""
    print("| test AUC, 10 trees | " + " | ".join(DEFENCES) + " |\n|" + "---|" * (len(DEFENCES) + 1), flush=True)
    for name in sys.argv[2:] or FOLDERS:
        data = load(name, Assets(Path(sys.argv[1])), 0)
        found = [f"{secure_auc(data, config, policy):.4f}" for config, policy in DEFENCES.values()]
        print(f"| {name} | " + " | ".join(found) + " |", flush=True)


if __name__ == "__main__":
    main()
