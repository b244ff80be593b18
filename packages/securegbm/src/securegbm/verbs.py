"""What the verbs of the command line do."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

os.environ.setdefault("GRPC_VERBOSITY", "NONE")

from claimkit import run
from claimkit.files import write_atomic
from claimkit.run import progress
from securegbm.align.tables import reloaded
from securegbm.app.beginning import Begin
from securegbm.app.links import Link
from securegbm.app.links import link_of as link_of
from securegbm.app.metrics import Metrics, MetricsServer
from securegbm.app.options import ArithmeticOptions, ColumnOptions, FileOptions
from securegbm.app.rotation import accept, rotate
from securegbm.config import TrainConfig
from securegbm.errors import SecureGBMError
from securegbm.feature_party.party import FeatureParty
from securegbm.feature_party.policy import FeaturePolicy
from securegbm.label_party.party import LabelParty, TreeReport
from securegbm.label_party.predict import Predictor
from securegbm.model.export import to_lightgbm_text
from securegbm.model.halves import FeatureHalf, LabelHalf
from securegbm.state.registry import Registry, last_of, run_of
from securegbm.state.store import read_json
from securegbm.tables.files import read_frame
from securegbm.tables.table import Table
from securegbm.wire.audit import describe, read_log
from securegbm.wire.certificates import write_certificate
from securegbm.wire.channel import Partner
from securegbm.wire.network import NetworkChannel
from securegbm.wire.proof import check_chain, compare


@dataclass(frozen=True)
class TrainingFile:
    """A label party's table file and which of its columns are no features."""

    data: Path
    label_column: str
    weight_column: str | None
    options: ColumnOptions

    def read(self) -> tuple[Table, Any, Any]:
        """The table, labels `(rows,)`, and weights `(rows,)` or none."""
        taken = (self.label_column, *((self.weight_column,) if self.weight_column else ()))
        table, dropped = Table.read(self.data, self.options.id_column, taken, self.options.dialect())
        weights = _numbers(dropped[self.weight_column], self.weight_column) if self.weight_column else None
        return self.options.declare(table), _numbers(dropped[self.label_column], self.label_column), weights


def certs(name: str, out: Path, days: int) -> None:
    """Make a certificate; see the command's help."""
    if name not in ("party-a", "party-b"):
        raise SecureGBMError(f"--name {name!r} is neither party-a nor party-b")
    found = write_certificate(out, name, days)
    print(f"{out / name}.crt  give this file to the other party\n{out / name}.key  keep this file")
    print(f"fingerprint {found}  tell it to the other party over another channel; it passes it as --pin")


def certs_rotate(name: str, out: Path, days: int) -> None:
    """Replace a key; see the command's help."""
    found = rotate(out, name, days)
    print(f"{out / name}.rotation  give this file to the other party, which runs `securegbm certs accept --name {name}`")
    print(f"fingerprint {found}  the other party passes it as --pin from now on; runs and models stay valid")


def certs_accept(name: str, out: Path) -> None:
    """Take over the other party's new certificate; see the command's help."""
    print(f"{out / name}.crt is replaced; its fingerprint is {accept(out, name)}")


def party_b_serve(
    data: Path, serving: Path | None, options: ColumnOptions, link: Link, state: Path, policy: FeaturePolicy,
    counted: str | None = None,
) -> None:  # fmt: skip
    """Serve the feature party; see the command's help."""
    dialect = options.dialect()
    table = options.declare(Table.read(data, options.id_column, (), dialect)[0])
    _say_constant(table)

    def read(path: Path) -> Table:
        return Table.read(path, options.id_column, (), dialect, table.rules)[0]

    served = read(serving) if serving else None
    log, parties = link.log(state, "feature"), link.parties()

    def tell(sentence: str) -> None:
        print(sentence, file=sys.stderr, flush=True)

    log = _counters(counted).counting(log)
    party: list[FeatureParty] = []

    def make(secret: bytes) -> FeatureParty:
        party.append(FeatureParty(table, policy, secret, state, log, served, tell, parties))
        return party[0]

    with link.serve(make, tell) as server:
        if serving is not None:
            reloaded(serving, lambda: party[0].serve(read(serving)), tell)
        size = f"{len(table.ids)} rows, {len(table.names)} columns"
        print(f"feature party: {size}, listening on port {server.port}", flush=True)
        server.wait()


def _counters(address: str | None) -> Metrics:
    """Counters, served where that was asked for."""
    metrics = Metrics()
    if address:
        MetricsServer(address, metrics)
    return metrics


def party_a_train(
    source: TrainingFile, link: Link, state: Path, job: str, config: TrainConfig, arithmetic: ArithmeticOptions,
    begin: Begin, counted: str | None = None,
) -> None:  # fmt: skip
    """Train as the label party; see the command's help."""
    table, labels, weights = source.read()
    _say_constant(table)
    registry = Registry(state)
    folder, continues = begin.choose(registry, job)
    total = config.n_estimators * config.objective.num_class
    bar = iter(progress(range(total), "trees", total=total, unit="tree"))
    reports: list[TreeReport] = []

    def on_tree(report: TreeReport) -> None:
        reports.append(report)
        next(bar, None)
        up, down = report.bytes_sent / 1e6, report.bytes_received / 1e6
        print(f"tree {report.tree:>4}  {report.seconds:6.2f} s  up {up:8.2f} MB  down {down:8.2f} MB  "
              f"{report.leaves} leaves", flush=True)  # fmt: skip

    with _open(link.partners(state, _counters(counted).counting)) as partners:
        party = LabelParty(
            table, labels, config, partners, weights, source.label_column, job, state=folder, workers=arithmetic.workers,
            on_tree=on_tree, continues=continues, roll_back=begin.roll_back, run=begin.run, ring=arithmetic.ring,
        )  # fmt: skip
        print(f"run {party.run.hex()}, job {job!r}", flush=True)
        begin.settle(registry, party.run)
        half = party.train()
    registry.use(registry.find(party.run.hex()))
    sent, received = (sum(getattr(r, name) for r in reports) / 1e6 for name in ("bytes_sent", "bytes_received"))
    trees = f"{len(half.trees)} tree{'s' * (len(half.trees) != 1)}"
    print(f"{trees}, {sent:.1f} MB sent, {received:.1f} MB received; {state / 'model.json'}")
    shares = half.importance()["by_party"]
    total_gain = sum(shares.values()) or 1.0
    print("gain by party: " + ", ".join(f"{name} {gain / total_gain:.1%}" for name, gain in shares.items()))


def _say_constant(table: Table) -> None:
    for name in table.constant_columns():
        print(f"column {name!r} holds one value only and is never split; leave it out or check it", file=sys.stderr)


def _numbers(texts: list[str], name: str) -> Any:
    try:
        return np.array(texts, dtype=np.float64)
    except ValueError as error:
        raise SecureGBMError(f"column {name!r} holds text; give numbers (classes as 0, 1, ...)") from error


def _label_half(path: Path, run: str | None = None) -> LabelHalf:
    """A label party's half: a file, and the run it belongs to."""
    data, last = read_json(path), last_of(path)
    if run is None:
        return LabelHalf.from_dict(data, run_of(path), last)
    if len(run) != 32 or set(run) - set("0123456789abcdef"):
        raise SecureGBMError(f"--run {run!r} is not a run id of 32 hexadecimal digits; `securegbm models list` shows them")
    return LabelHalf.from_dict(data, bytes.fromhex(run), last)


@dataclass(frozen=True)
class PredictionFiles:
    """The rows to predict, and where predictions and what columns add to them shall stand."""

    data: Path
    out: Path
    contributions: Path | None
    options: FileOptions


def party_a_predict(files: PredictionFiles, model: Path, run: str | None, link: Link, path_only: bool) -> None:
    """Predict a table; see the command's help."""
    half, id_column, dialect = _label_half(model, run), files.options.id_column, files.options.dialect()
    columns = [str(name) for name in read_frame(files.data, id_column, dialect).columns]
    extra = tuple(name for name in columns if name not in half.names and name != id_column)
    table, _ = Table.read(files.data, id_column, extra, dialect, half.rules)
    with _open(link.partners(model.parent)) as partners:
        predictor = Predictor(half, partners, path_only=path_only)
        shares = predictor.contributions(table) if files.contributions else None
        found = predictor.predict(table)
    names = ["prediction"] if len(found) == 1 else [f"class_{c}" for c in range(len(found))]
    _write(files.out, id_column, table, dict(zip(names, found, strict=True)) | {"complete": predictor.known.astype(int)})
    print(f"{len(table.ids)} predictions: {files.out}")
    if files.contributions is not None and shares is not None:
        named = [*half.all_names, "expected score"]
        many = len(shares) > 1
        parts = {f"class_{c} {name}" if many else name: shares[c, :, at]
                 for c in range(len(shares)) for at, name in enumerate(named)}  # fmt: skip
        _write(files.contributions, id_column, table, parts)
        print(f"what {len(named) - 1} columns add to the raw scores: {files.contributions}")
    if not predictor.known.all():
        print(f"{(~predictor.known).sum()} rows are not known to the feature party: scored without its columns, "
              "complete = 0", file=sys.stderr)  # fmt: skip


def _write(out: Path, id_column: str, table: Table, columns: dict[str, Any]) -> None:
    import pandas

    write_atomic(out, pandas.DataFrame({id_column: list(table.ids)} | columns).to_csv(index=False))


def party_a_serve(model: Path, run: str | None, listen: str, link: Link, counted: str | None = None) -> None:
    """Serve scores over HTTP; see the command's help."""
    from securegbm.app.scoring import ScoringServer

    half = _label_half(model, run)

    host, _, port = listen.rpartition(":")
    if not port.isdigit():
        raise SecureGBMError(f"--listen {listen!r} is no HOST:PORT")
    with _open(link.partners(model.parent, _counters(counted).counting)) as partners:
        server = ScoringServer((host, int(port)), Predictor(half, partners))
        print(f"scoring on http://{host}:{server.server_address[1]}/score", flush=True)
        try:
            server.serve_forever()
        finally:
            server.server_close()


@contextmanager
def _open(partners: list[Partner]) -> Iterator[list[Partner]]:
    """Partners whose connections are let go of at the end, however it comes."""
    try:
        yield partners
    finally:
        for partner in partners:
            if isinstance(partner.channel, NetworkChannel):
                partner.channel.close()


def _half_of(path: Path, run: str) -> Path:
    return Registry(path).find(run).folder / "model.json" if path.is_dir() else path


def export(label_half: Path, feature_halves: tuple[Path, ...], run: str | None, out: Path, consent: bool) -> None:
    """Join the halves; see the command's help."""
    if run is None and label_half.is_dir():
        run = run_of(label_half / "model.json").hex()
    elif run is None and any(path.is_dir() for path in feature_halves):
        run = run_of(label_half).hex()
    others = [FeatureHalf.from_dict(read_json(_half_of(path, run or ""))) for path in feature_halves]
    text = to_lightgbm_text(LabelHalf.from_dict(read_json(_half_of(label_half, run or ""))), others, consent)
    write_atomic(out, text)
    print(out)


def audit(log: Path, messages: bool, verify: bool, against: Path | None) -> None:
    """Say what a side learned, or prove what was said; see the command's help."""
    lines = read_log(log)
    if verify or against is not None:
        check_chain(lines, log.name)
        print(f"{len(lines)} messages, none changed, none cut out before the last one")
        if against is not None:
            theirs = read_log(against)
            check_chain(theirs, against.name)
            for sentence in compare(lines, theirs):
                print(sentence)
    for line in describe(lines, messages):
        print(line)


def demo(out: Path, trees: int, workers: int) -> None:
    """Two processes on this machine; see the command's help."""
    from securegbm.app.demonstration import demonstrate

    run.picture(out)
    if trees < 1 or workers < 0:
        raise SecureGBMError(f"trees = {trees}, workers = {workers}: the demo needs at least one tree")
    for line in demonstrate(out, trees, workers):
        print(line, flush=True)
