import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from claimkit.claims import VERDICTS, Claim, Record, Verdict, best, load_records
from claimkit.errors import InputError

json_values = st.recursive(
    st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53), 2**53) | st.text(max_size=8) | st.booleans(),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=8,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.text(max_size=5), json_values, max_size=5), st.sampled_from(VERDICTS))
def test_a_record_survives_the_round_trip_through_json(record, values, kind):
    r = record(kind=kind, values=values or {"x": 1})
    assert Record.from_json(r.to_json()) == r
    assert json.loads(r.to_json())["schema"] == 1


def test_series_stay_on_one_line(record):
    assert '"x": [1.0, 2.0, 3.0]' in record(values={"x": [1.0, 2.0, 3.0]}).to_json()


def test_another_schema_version_is_refused(record):
    with pytest.raises(InputError, match="schema 2"):
        Record.from_json(record().to_json().replace('"schema": 1', '"schema": 2'))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": 1}'])
def test_what_is_no_record_is_refused_in_one_sentence(text):
    with pytest.raises(InputError, match="not a record"):
        Record.from_json(text)


def test_a_fifth_verdict_and_an_empty_field_are_refused(claim):
    with pytest.raises(InputError, match="none of"):
        Verdict("nearly", "x")
    with pytest.raises(InputError, match="reason"):
        Verdict("reproduced", " ")
    with pytest.raises(InputError, match="tolerance"):
        Claim(**{**claim.__dict__, "tolerance": ""})


def test_best_prefers_full_over_small_and_never_shows_smoke(record):
    assert [r.preset for r in best([record("full"), record("small"), record("smoke")])] == ["full"]
    assert best([record("smoke")]) == []
    later = record("small", "not reproduced")
    assert best([record("small"), later]) == [later]


def test_a_run_replaces_the_note_that_nothing_was_run(record, claim, tmp_path):
    absent = Record(package="msgd", claim=claim, verdict=Verdict("not run", "needs data"))
    absent.save(tmp_path)
    assert [r.verdict.kind for r in load_records(tmp_path)] == ["not run"]
    record().save(tmp_path)
    absent.save(tmp_path)
    assert [r.verdict.kind for r in load_records(tmp_path)] == ["reproduced"]


def test_records_come_in_natural_order_and_a_broken_file_is_named(record, tmp_path):
    for id in ("M10", "M2"):
        record(id=id).save(tmp_path)
    assert [r.claim.id for r in load_records(tmp_path)] == ["M2", "M10"]
    (tmp_path / "M3.small.json").write_text("{")
    with pytest.raises(InputError, match=r"M3\.small\.json"):
        load_records(tmp_path)
