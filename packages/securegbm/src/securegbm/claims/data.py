"""The vertically split data sets of the claims: scikit-learn's, generated ones, and those of a data folder."""

import gzip
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from claimkit.assets import Assets
from securegbm.errors import SecureGBMError

Floats = npt.NDArray[np.float64]

EMBEDDED = ("breast_cancer", "digits_parity", "generated")
FOLDERS = ("adult", "a9a_vertical", "phishing", "default_credit_hetero", "epsilon_5k_hetero", "lightgbm_binary")


@dataclass(frozen=True)
class Split:
    """Training and held-out rows; the first `own` columns are the label party's."""

    train: Floats
    train_labels: Floats
    test: Floats
    test_labels: Floats
    own: int


def load(name: str, assets: Assets, seed: int) -> Split:
    """Load a data set; where it has no official test rows, 30 % are held out by the seed.

    Args:
        name: One of `EMBEDDED` or `FOLDERS`.
        assets: Where folders are looked for.
        seed: Of the held-out rows and of generated data.

    Raises:
        SecureGBMError: For an unknown name.
    """
    loaders: dict[str, Any] = {
        "breast_cancer": lambda: _breast_cancer(),
        "digits_parity": lambda: _digits(),
        "generated": lambda: _generated(seed),
        "adult": lambda: _adult(assets.find("adult")),
        "a9a_vertical": lambda: _a9a(assets.find("a9a_vertical")),
        "phishing": lambda: _phishing(assets.find("phishing")),
        "default_credit_hetero": lambda: _hetero(assets.find("default_credit_hetero"), "default_credit_hetero"),
        "epsilon_5k_hetero": lambda: _hetero(assets.find("epsilon_5k_hetero"), "epsilon_5k_hetero"),
        "lightgbm_binary": lambda: _lightgbm(assets.find("lightgbm_binary")),
    }
    if name not in loaders:
        raise SecureGBMError(f"data set {name!r} is unknown; use one of {', '.join(loaders)}")
    found = loaders[name]()
    if isinstance(found, Split):
        return found
    values, labels, own = found
    from sklearn.model_selection import train_test_split

    fit, held = train_test_split(np.arange(len(labels)), test_size=0.3, stratify=labels, random_state=seed)
    return Split(values[fit], labels[fit], values[held], labels[held], own)


def _breast_cancer() -> tuple[Floats, Floats, int]:
    from sklearn.datasets import load_breast_cancer

    bunch: Any = load_breast_cancer(return_X_y=True)
    values, labels = bunch
    own = [8, 9, 18, 19]
    order = own + [i for i in range(values.shape[1]) if i not in own]
    return values[:, order], labels.astype(float), len(own)


def _digits() -> tuple[Floats, Floats, int]:
    from sklearn.datasets import load_digits

    bunch: Any = load_digits(return_X_y=True)
    values, labels = bunch
    left = [i for i in range(64) if i % 8 < 4]
    order = left + [i for i in range(64) if i % 8 >= 4]
    return values[:, order], (labels % 2).astype(float), len(left)


def _generated(seed: int) -> tuple[Floats, Floats, int]:
    from sklearn.datasets import make_classification

    made: Any = make_classification(4000, 20, n_informative=10, flip_y=0.05, random_state=seed)
    values, labels = made
    rng = np.random.default_rng(seed)
    values[rng.random(values.shape) < 0.05] = np.nan
    return values, labels.astype(float), 10


def _adult(folder: Path) -> Split:
    import pandas

    guest = ["age", "workclass", "education", "education_num", "hours_per_week", "occupation", "sex"]
    train, test = (pandas.read_csv(folder / f"adult_{part}.csv.gz") for part in ("train", "test"))
    other = [name for name in train if name not in (*guest, "label")]
    tables = []
    for frame in (train, test):
        columns = []
        for name in (*guest, *other):
            column = frame[name]
            if not pandas.api.types.is_numeric_dtype(train[name]):
                kinds = pandas.CategoricalDtype(sorted(train[name].dropna().unique()))
                column = column.astype(kinds).cat.codes.astype(float).replace(-1.0, np.nan)
            columns.append(column.to_numpy(np.float64))
        tables.append(np.column_stack(columns))
    return Split(tables[0], train["label"].to_numpy(np.float64), tables[1], test["label"].to_numpy(np.float64), len(guest))


def _a9a(folder: Path) -> Split:
    def read(name: str, width: int, first: int, labelled: bool) -> tuple[Floats, Floats]:
        with gzip.open(folder / name, "rt") as file:
            rows = [line.split() for line in file if line.strip()]
        values, labels = np.zeros((len(rows), width)), np.zeros(len(rows))
        for i, row in enumerate(rows):
            labels[i] = float(row[1]) if labelled else 0.0
            for item in row[1 + labelled :]:
                values[i, int(item.split(":")[0]) - first] = 1.0
        return values, labels

    parts = []
    for prefix in ("a9a", "a9a.t"):
        own, labels = read(f"{prefix}.guest.gz", 49, 1, True)
        parts += [np.hstack([own, read(f"{prefix}.host.gz", 74, 0, False)[0]]), (labels > 0).astype(float)]
    return Split(*parts, own=49)


def _phishing(folder: Path) -> tuple[Floats, Floats, int]:
    import pandas

    frame = pandas.read_csv(folder / "phishing.csv.gz").drop(columns="id")
    features = [name for name in frame if name != "label"]
    frame = frame.drop_duplicates(subset=features)
    return frame[features].to_numpy(np.float64), frame["label"].to_numpy(np.float64), 12


def _hetero(folder: Path, name: str) -> tuple[Floats, Floats, int]:
    import pandas

    guest, host = (pandas.read_csv(folder / f"{name}_{side}.csv.gz") for side in ("guest", "host"))
    if not guest["id"].equals(host["id"]):
        raise SecureGBMError(f"the two sides of {name} are not aligned; get the files again")
    own = guest.drop(columns=["id", "y"]).to_numpy(np.float64)
    return np.hstack([own, host.drop(columns="id").to_numpy(np.float64)]), guest["y"].to_numpy(np.float64), own.shape[1]


def _lightgbm(folder: Path) -> Split:
    train, test = (np.loadtxt(folder / f"binary.{part}.tsv.gz") for part in ("train", "test"))
    return Split(train[:, 1:], train[:, 0], test[:, 1:], test[:, 0], 14)
