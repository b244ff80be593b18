"""Trials in a database, in the tables of Optuna, with few questions: begun, ended and read in one transaction each.

Optuna loads the trial as an object before each of its attributes, and each of its parameters with its distribution. Our
studies have bits only, as their headers say, so that rows are enough. Everybody else reads and writes the same tables.
"""

import json
from collections.abc import Container, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any

import sqlalchemy as sql
from optuna.distributions import BaseDistribution, distribution_to_json, json_to_distribution
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.event import listen

TRIALS, PARAMS, VALUES = (m.__table__ for m in (models.TrialModel, models.TrialParamModel, models.TrialValueModel))
USER, SYSTEM = (m.__table__ for m in (models.TrialUserAttributeModel, models.TrialSystemAttributeModel))
STUDIES = models.StudyModel.__table__


class Database(RDBStorage):
    """Optuna's storage; on SQLite with a log that is written ahead, so that who reads does not wait for who writes."""

    def __init__(self, url: str):
        super().__init__(url)
        if self.engine.name == "sqlite":
            listen(self.engine, "connect", _written_ahead)
            self.engine.dispose()  # connections of before

    def _create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> FrozenTrial:
        """Begin a trial with all that is known of it; its number is the number of those before it."""
        if template_trial is None:
            return super()._create_new_trial(study_id)
        t = template_trial
        before = sql.select(sql.func.count()).select_from(TRIALS).where(TRIALS.c.study_id == study_id).scalar_subquery()
        row = {
            "study_id": study_id,
            "number": before,
            "state": t.state,
            "datetime_start": _utc(t.datetime_start or datetime.now()),
            "datetime_complete": _utc(t.datetime_complete),
        }
        with self.engine.begin() as c:
            c.execute(sql.select(STUDIES.c.study_id).where(STUDIES.c.study_id == study_id).with_for_update())
            begun = c.execute(TRIALS.insert().values(row)).inserted_primary_key
            assert begun is not None
            trial_id = int(begun[0])
            params = [
                {"param_name": n, "param_value": d.to_internal_repr(t.params[n]), "distribution_json": _text(d)}
                for n, d in t.distributions.items()
            ]
            _insert(c, PARAMS, trial_id, params)
            for table, attributes in ((USER, t.user_attrs), (SYSTEM, t.system_attrs)):
                _insert(c, table, trial_id, [{"key": k, "value_json": json.dumps(v)} for k, v in attributes.items()])
            _insert(c, VALUES, trial_id, _stored(t.values or ()))
            number = c.execute(sql.select(TRIALS.c.number).where(TRIALS.c.trial_id == trial_id)).scalar_one()
        return FrozenTrial(
            number, t.state, None, t.datetime_start or datetime.now(), t.datetime_complete, dict(t.params),
            dict(t.distributions), dict(t.user_attrs), dict(t.system_attrs), {}, trial_id, values=t.values,
        )  # fmt: skip

    def end(self, trial_id: int, state: TrialState, values: Sequence[float] | None, notes: Mapping[str, Any]) -> None:
        """Note what is to be noted and end a trial, all or nothing.

        Raises:
            UpdateFinishedTrialError: Somebody else has ended it.
        """
        ended = sql.update(TRIALS).where(
            TRIALS.c.trial_id == trial_id, TRIALS.c.state.in_((TrialState.RUNNING, TrialState.WAITING))
        )
        with self.engine.begin() as c:
            if not c.execute(ended.values(state=state, datetime_complete=_utc(datetime.now()))).rowcount:
                raise UpdateFinishedTrialError(f"trial {trial_id} has been ended by another worker")
            _insert(c, USER, trial_id, [{"key": k, "value_json": json.dumps(v)} for k, v in notes.items()])
            _insert(c, VALUES, trial_id, _stored(values or ()))

    def _get_trials(
        self,
        study_id: int,
        states: Container[TrialState] | None,
        included_trial_ids: set[int],
        trial_id_greater_than: int,
    ) -> list[FrozenTrial]:
        """What is new, and what was not ended when it was read last."""
        if states is not None:
            return super()._get_trials(study_id, states, included_trial_ids, trial_id_greater_than)
        new = TRIALS.c.trial_id > trial_id_greater_than
        again = sorted(i for i in included_trial_ids if i <= trial_id_greater_than)
        wanted = sql.or_(new, TRIALS.c.trial_id.in_(again)) if again else new
        asked = sql.select(TRIALS).where(TRIALS.c.study_id == study_id, wanted).order_by(TRIALS.c.trial_id)
        with self.engine.connect() as c:
            rows = c.execute(asked).all()
            if not rows:
                return []
            first, last = rows[0].trial_id, rows[-1].trial_id

            def of(table: Any) -> Mapping[int, list[Any]]:
                found: dict[int, list[Any]] = {}
                key = next(iter(table.primary_key))
                for x in c.execute(sql.select(table).where(table.c.trial_id.between(first, last)).order_by(key)):
                    found.setdefault(x.trial_id, []).append(x)
                return found

            params, values, user, system = (of(table) for table in (PARAMS, VALUES, USER, SYSTEM))
        return [_built(r, *(x.get(r.trial_id, ()) for x in (params, values, user, system))) for r in rows]


@cache
def _distribution(text: str) -> Any:
    """One object for one text: a study has few kinds of parameters."""
    return json_to_distribution(text)


@cache
def _text(distribution: BaseDistribution) -> str:
    return distribution_to_json(distribution)


def _built(
    row: Any, params: Sequence[Any], values: Sequence[Any], user: Sequence[Any], system: Sequence[Any]
) -> FrozenTrial:
    kinds = {p.param_name: _distribution(p.distribution_json) for p in params}
    by_objective = sorted(values, key=lambda v: v.objective)
    return FrozenTrial(
        number=row.number,
        state=row.state,
        value=None,
        values=[models.TrialValueModel.stored_repr_to_value(v.value, v.value_type) for v in by_objective] or None,
        datetime_start=_local(row.datetime_start),
        datetime_complete=_local(row.datetime_complete),
        params={p.param_name: kinds[p.param_name].to_external_repr(p.param_value) for p in params},
        distributions=kinds,
        user_attrs={a.key: json.loads(a.value_json) for a in user},
        system_attrs={a.key: json.loads(a.value_json) for a in system},
        intermediate_values={},
        trial_id=row.trial_id,
    )


def _insert(connection: sql.Connection, table: Any, trial_id: int, rows: Sequence[Mapping[str, Any]]) -> None:
    if rows:
        connection.execute(table.insert(), [{"trial_id": trial_id, **row} for row in rows])


def _stored(values: Sequence[float]) -> list[dict[str, Any]]:
    stored = [models.TrialValueModel.value_to_stored_repr(v) for v in values]
    return [{"objective": i, "value": v, "value_type": kind} for i, (v, kind) in enumerate(stored)]


def _written_ahead(connection: Any, _: Any) -> None:
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "busy_timeout=20000"):
        connection.execute(f"PRAGMA {pragma}")


def _utc(time: datetime | None) -> datetime | None:
    """As Optuna's tables have it, without a zone."""
    return None if time is None else time.astimezone(UTC).replace(tzinfo=None)


def _local(time: datetime | None) -> datetime | None:
    return None if time is None else time.replace(tzinfo=UTC).astimezone().replace(tzinfo=None)
