"""
Azure's spellings of one row, brought to one.

The same log arrives as `CorrelationId` (Log Analytics), `correlationId` inside `properties` (Event
Hub, storage), `correlationId_g` or inside `AdditionalFields` (AzureDiagnostics), and with dynamic
columns as objects or as JSON text. Here every name becomes lower case without suffix and
underscores, nested objects are laid flat, and the original spelling is found again for errors.

Source: azure-monitor-docs platform/resource-logs-schema.md, reference/tables/azurediagnostics.md;
azure-docs api-management gateway-log-schema-reference.md.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from itertools import filterfalse
from typing import Any, NamedTuple

import orjson

from collector.decode.fields import (
    FieldError,
    Row,
    Timestamp,
    is_missing,
    parse_timestamp,
    read_ns_from_ms,
    read_object,
    read_text,
    require_timestamp,
    write_raw,
)
from collector.model import GatewayRecord
from collector.timestamps import NS_PER_MS, NS_PER_S

MISSING = frozenset({"-", "None", "null", "NULL"})
_TEXT_OR_NULL = frozenset({str, type(None)})
_SUFFIX = re.compile(r"_[sdbtg]$")
_NESTED = ("properties", "additionalfields", "lasterror")
# how a field that is not there would be spelled
_DOCUMENTED = {
    "correlationid": "CorrelationId",
    "timegenerated": "TimeGenerated",
    "requestid": "requestId",
    "startedat": "startedAt",
    "id": "Id",
    "type": "Type",
}
_YEAR_MS = 366 * 86_400 * 1_000
# What is remembered of column names is bounded in bytes too: senders choose them.
_LONGEST_COLUMN = 200
_MOST_COLUMNS = 500
_MOST_LETTERS = 16_000
_MOST_SHAPES = 256
_OF_CONTAINERS = frozenset(("logmessage", "logentry", "logsource", "logentrysource"))
_LOGGED_PARTS = ("headers", "errors", "tracerecords")


class _Shape(NamedTuple):
    """
    What the column names of a row tell, worked out once for all rows that have the same.

    `is_container`: it is a row of a container's log, whose line may be a record.
    """

    names: tuple[str, ...]
    dynamic: frozenset[str]
    is_container: bool


_shapes: dict[tuple[str, ...], _Shape] = {}


class FlatRow(dict[str, Any]):
    """
    A row under canonical names; `original` is what it was made from.

    `dynamic` holds those of its columns that may be JSON text.
    """

    __slots__ = ("dynamic", "original")

    original: Row
    dynamic: frozenset[str]


def require_columns(flat: FlatRow, *names: str) -> None:
    """
    Let a row pass that has all of these columns, whatever is in them.

    Raises:
        FieldError: one is missing.
    """
    for name in names:
        if canonical_name(name) not in flat:
            raise FieldError(name, "is missing")


def canonical_name(name: str) -> str:
    """Return the one spelling of a column: `lastError_reason_s` and `LastErrorReason` agree."""
    return _remembered_name(name) if len(name) <= _LONGEST_COLUMN else _unify(name)


def _unify(name: str) -> str:
    # the portal tells the zone in which it shows a column of times
    name = name.removesuffix(" [UTC]")
    return _SUFFIX.sub("", name).replace("_", "").lower()


_remembered_name = lru_cache(maxsize=4096)(_unify)


def rename(row: Row) -> FlatRow:
    """Return *row* under canonical names, its objects untouched."""
    shape = _shape_of(row)
    flat = FlatRow(zip(shape.names, row.values(), strict=True))
    if len(flat) < len(row):
        # a table of all resources has `clientIp_s` and `clientIP_s`, one of them empty
        for name, value in zip(shape.names, row.values(), strict=True):
            if is_missing(flat[name]):
                flat[name] = value
    flat.original = row
    flat.dynamic = shape.dynamic
    return flat


def has_column(row: Row, names: frozenset[str]) -> bool:
    """
    Tell whether *row*, or its `properties`, has one of *names* (canonical) in any spelling.

    A container's log has none of its own: it is what is around a record.
    """
    shape = _shape_of(row)
    if shape.is_container:
        return False
    properties = row.get("properties")
    if properties.__class__ is not dict:
        return not names.isdisjoint(shape.names)
    inner = _shape_of(properties)
    return not inner.is_container and not (
        names.isdisjoint(shape.names) and names.isdisjoint(inner.names)
    )


def _shape_of(row: Row) -> _Shape:
    columns = tuple(row)
    known = _shapes.get(columns)
    if known is not None:
        return known
    shape = _shape(columns)
    if len(columns) <= _MOST_COLUMNS and sum(map(len, columns)) <= _MOST_LETTERS:
        if len(_shapes) >= _MOST_SHAPES:
            _shapes.clear()
        _shapes[columns] = shape
    return shape


def _shape(columns: tuple[str, ...]) -> _Shape:
    names = tuple(map(canonical_name, columns))
    dynamic = frozenset(column for column in columns if _is_dynamic(column))
    return _Shape(names, dynamic, not _OF_CONTAINERS.isdisjoint(names))


def flatten(row: Row) -> FlatRow:
    """
    Return *row* under canonical names, with what Azure nests laid beside it.

    Names of `properties` win over those beside it, `AdditionalFields` fill gaps, and the members
    of `lastError` become `lasterrorreason` and so on.

    Raises:
        FieldError: one of the three is no object.
    """
    flat = rename(row)
    if flat.get("additionalfields"):
        extra = read_object(flat, "additionalfields")
        for name, value in extra.items():
            if flat.get(canonical_name(name)) is None:
                flat[canonical_name(name)] = value
    if flat.get("properties"):
        properties = flat["properties"]
        if properties.__class__ is not dict:
            properties = read_object(flat, "properties")
        flat.update(zip(_shape_of(properties).names, properties.values(), strict=True))
    if flat.get("lasterror"):
        for name, value in read_object(flat, "lasterror").items():
            flat["lasterror" + canonical_name(name)] = value
    return flat


def read_columns(flat: Row, names: Sequence[str]) -> Sequence[str]:
    """
    Return the texts of many columns at once, in the order of *names*; "" for a missing one.

    0.06 us a column against 0.17 of a `read_text` each, when all are text or null.

    Raises:
        FieldError: one is an object or an array.
    """
    texts = [*map(flat.get, names)]
    if _TEXT_OR_NULL.issuperset(map(type, texts)) and MISSING.isdisjoint(texts):
        return [text or "" for text in texts]
    return [read_text(flat, name) for name in names]


def name_as_in_row(error: FieldError, row: Row) -> FieldError:
    """Return *error* with the field as this row spells it."""
    head, dot, rest = error.field.partition(".")
    for name in _names(row):
        short = name.rpartition(".")[2]
        if canonical_name(short) == head or canonical_name(name).replace(".", "") == head:
            return FieldError(name + dot + rest, error.reason)
    return FieldError(_DOCUMENTED.get(error.field, error.field), error.reason)


def require_start(flat: Row, *names: str) -> Timestamp:
    """
    Return when the row says its request began; the SDK hands datetimes, every other door text.

    Raises:
        FieldError: there is none, or it is no moment.
    """
    for name in names:
        value = flat.get(name)
        if value.__class__ is str:
            try:
                return parse_timestamp(value)
            except ValueError:  # missing, or an error to tell with the column's name
                break
        if isinstance(value, datetime):
            seconds = int(value.replace(microsecond=0).timestamp())
            return Timestamp(seconds * NS_PER_S + value.microsecond * 1_000, 1_000)
    return require_timestamp(flat, *names)


def read_duration_ns(flat: FlatRow, *names: str) -> int | None:
    """
    Return a duration in milliseconds as ns; `None` when missing or negative.

    Raises:
        FieldError: it is no number.
    """
    value = flat.get(names[0])
    if value.__class__ is int and 0 <= value <= _YEAR_MS:
        return int(value) * NS_PER_MS
    if value.__class__ is float and 0 <= value <= _YEAR_MS:
        return round(value * NS_PER_MS)
    return read_ns_from_ms(flat, *names)


def raw_text(flat: FlatRow, *, without: Sequence[str] = ()) -> str:
    """
    Return the row as JSON text: nulls left out, dynamic columns as objects.

    JSON text inside JSON text would hide header names from whoever masks them.
    """
    shown: Row = flat.original
    # most rows have a zero or a False, fewer have a null: 0.3 us to see, 1.3 to leave none out
    if without or not all(
        value is not None and value != "" for value in filterfalse(None, shown.values())
    ):
        shown = {
            name: value
            for name, value in shown.items()
            if value is not None and value != "" and name not in without
        }
    opened = {
        name: value
        for name in flat.dynamic
        if name in shown and (value := _opened(name, shown[name])) is not shown[name]
    }
    return write_raw({**shown, **opened} if opened else shown)


def _opened(name: str, value: Any) -> Any:
    """Return the value of a dynamic column with what is JSON text in it as objects."""
    value = _parsed_if_dynamic(name, value)
    if value.__class__ is dict and canonical_name(name) in _NESTED:
        dynamic = _shape_of(value).dynamic
        if dynamic:
            return value | {key: _parsed_if_dynamic(key, value[key]) for key in dynamic}
    return value


def read_named(
    read: Callable[[FlatRow], GatewayRecord], flatten_row: Callable[[Row], FlatRow] = flatten
) -> Callable[[Row], GatewayRecord]:
    """Wrap a reader of flat rows so that its errors carry the field as the sender spells it."""

    def read_row(row: Row) -> GatewayRecord:
        try:
            return read(flatten_row(row))
        except FieldError as exc:
            raise name_as_in_row(exc, row) from None

    return read_row


def resource_name(resource_id: str) -> str:
    """Return the last segment of an Azure resource id in lower case: the service's name."""
    return resource_id.rstrip("/").rpartition("/")[2].lower()


def _names(row: Row) -> Iterable[str]:
    for name, value in row.items():
        yield name
        if isinstance(value, str) and canonical_name(name) in _NESTED:
            value = _parsed(value)
        if isinstance(value, Mapping):
            for member in _names(value):
                yield f"{name}.{member}"


def _is_dynamic(name: str) -> bool:
    short = canonical_name(name)
    return short in _NESTED or short.endswith(_LOGGED_PARTS) or short == "customdimensions"


def _parsed_if_dynamic(name: str, value: Any) -> Any:
    if isinstance(value, str) and value[:1] in ("{", "[") and _is_dynamic(name):
        return _parsed(value)
    return value


def _parsed(text: str) -> Any:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
    if isinstance(value, dict):
        return {name: _parsed_if_dynamic(name, member) for name, member in value.items()}
    return value
