"""Columns that are no numbers: dates, truth values and categories become numbers by rules that stay with the model."""

import re
from typing import Any

import numpy as np
import numpy.typing as npt

from securegbm.errors import SecureGBMError

Floats = npt.NDArray[np.float64]
Rule = dict[str, Any]
"""`{"kind": "number"}`, `"truth"`, `"date"` (days since 1970), or `"category"` with its `values` in order."""

MOST_VALUES = 1000
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}([ T]\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:\d{2})?)?$")
_OTHER_DATE = re.compile(r"\d{1,2}[./-]\d{1,2}[./-]\d{2,4}$")
_TRUTH = {"true": 1.0, "false": 0.0}
_COMMA = re.compile(r"-?\d+,\d+$|-?\d{1,3}(\.\d{3})*,\d+$")


def _texts(column: Any) -> list[str | None]:
    return [None if value is None or value != value else str(value).strip() for value in column.tolist()]


def learn(column: Any, name: str) -> Rule:
    """The rule for a column, from its training values.

    Args:
        column: A pandas column.
        name: What to call it in an error.

    Raises:
        SecureGBMError: If no rule fits without doubt.
    """
    import pandas

    if pandas.api.types.is_bool_dtype(column):
        return {"kind": "truth"}
    if pandas.api.types.is_datetime64_any_dtype(column):
        return {"kind": "date"}
    if pandas.api.types.is_numeric_dtype(column):
        return {"kind": "number"}
    found = [text for text in _texts(column) if text is not None]
    values = sorted(set(found))
    if {value.lower() for value in values} <= _TRUTH.keys():
        return {"kind": "truth"}
    if all(_DATE.match(value) for value in values):
        return {"kind": "date"}
    if all(_COMMA.match(value) or _is_number(value) for value in values):
        raise SecureGBMError(f"{name} holds numbers with a comma ({values[0]!r}); say --decimal ',' or write points")
    numbers = sum(map(_is_number, found))
    if 2 * numbers > len(found):
        odd = next(value for value in found if not _is_number(value))
        raise SecureGBMError(
            f"{name} holds numbers and the text {odd!r}; correct it, or leave the field empty where none is"
        )
    if all(_OTHER_DATE.match(value) for value in values):
        raise SecureGBMError(f"{name} holds dates like {values[0]!r}, whose day and month are in doubt; write YYYY-MM-DD")
    if len(values) > MOST_VALUES:
        raise SecureGBMError(
            f"{name} is text with {len(values)} values; leave it out, or group them into at most {MOST_VALUES}"
        )
    return {"kind": "category", "values": values}


def apply(column: Any, rule: Rule, name: str) -> Floats:
    """A column as numbers, by its rule; a category that the rule does not know is missing, like an empty field.

    Raises:
        SecureGBMError: If a number, a date or a truth value is expected and something else stands there.
    """
    import pandas

    kind = rule["kind"]
    if kind == "number":
        try:
            return column.to_numpy(np.float64, na_value=np.nan)
        except (TypeError, ValueError) as error:
            raise SecureGBMError(f"{name} held numbers at training and holds text now; give numbers") from error
    if kind == "date":
        stamped = pandas.api.types.is_datetime64_any_dtype(column)
        given = column if stamped else pandas.Series(_texts(column), dtype=object)
        times = pandas.to_datetime(given, errors="coerce", utc=True, format=None if stamped else "ISO8601")
        days = (times - pandas.Timestamp("1970-01-01", tz="UTC")) / pandas.Timedelta(days=1)
        return _all_read(column, days.to_numpy(np.float64, na_value=np.nan), name, "date YYYY-MM-DD")
    if kind == "truth":
        known = _TRUTH | {"1": 1.0, "0": 0.0, "1.0": 1.0, "0.0": 0.0}
        numbers = np.array([known.get(text.lower(), np.nan) if text else np.nan for text in _texts(column)])
        return _all_read(column, numbers, name, "truth value (true, false, 1 or 0)")
    known = {value: float(number) for number, value in enumerate(rule["values"])}
    return np.array([known.get(text, np.nan) if text is not None else np.nan for text in _texts(column)])


def _all_read(column: Any, numbers: Floats, name: str, what: str) -> Floats:
    """The numbers, if every field that is not empty became one."""
    odd = next((text for text, number in zip(_texts(column), numbers, strict=True) if text and number != number), None)
    if odd is not None:
        raise SecureGBMError(f"{name} holds {odd!r}, which is no {what}; correct it, or leave the field empty")
    return numbers


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
