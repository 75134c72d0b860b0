"""
A mapping file, read and checked: which entries are a gateway's, and where its facts lie in them.

Source: TOML 1.0. The file is the operator's, so every fault of it is told at the start, with the
gateway and the field it is in.
"""

import difflib
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import re2

from collector.decode.mapped.places import Condition, Place, parse_condition, parse_place
from collector.timestamps import NS_PER_MS, NS_PER_S

UNITS_NS = {"ns": 1, "us": 1_000, "ms": NS_PER_MS, "s": NS_PER_S}
DURATIONS = ("duration", "backend", "gateway", "client")
"""What is measured: the whole, and its parts."""

TEXTS = (
    *("method", "scheme", "host", "path", "route", "protocol", "api", "api_revision", "operation"),
    *("product", "consumer", "user", "region", "instance", "client_address", "backend_method"),
    *("backend_host", "backend_path", "backend_id", "error_source", "error_reason"),
    "error_message",
)
"""Fields of a record that are taken as they are."""

NUMBERS = ("attempts", "request_bytes", "response_bytes")
OTHERS = (
    *("record_id", "start", "end", "status", "backend_status", "request_line", "url", "query"),
    *("backend_url", "cache", "content_type", "upgrade", "grpc_status", "grpc_message"),
    *("user_agent", "request_headers", "response_headers", "request_id", "correlation_id"),
    *("traceparent", "trace_id", "span_id", "parent_span_id", "sampled"),
)
FIELDS = frozenset((*TEXTS, *NUMBERS, *OTHERS))
_KEYS = ("name", "product", "source", "match", "ignore", "line", "fields", "values", "attributes")
_NAME = re.compile(r"[a-z][a-z0-9-]{0,40}")
_DURATION = re.compile(rf"({'|'.join(DURATIONS)})_({'|'.join(UNITS_NS)})")
# Without one of these nobody would find the request.
_TELLING = ("status", "path", "url", "request_line", "route", "api")
_MOST_GATEWAYS = 100


class MappingError(ValueError):
    """A mapping file cannot be used; the text names the gateway and the field."""


@dataclass(frozen=True, slots=True)
class Measure:
    """A duration: a sum of places, in one unit."""

    terms: tuple[Place, ...]
    unit_ns: int


@dataclass(frozen=True, slots=True)
class GatewayMapping:
    """
    One gateway of a mapping file.

    `match` has groups of conditions: an entry is the gateway's if one of each group holds. `ignore`
    are entries of it that are no requests. `lines` are patterns of text lines, by whose groups the
    places are named. `fields` and `attributes` give each fact its places, the best first; `values`
    says for a field what the gateway's words or numbers stand for.
    """

    name: str
    product: str
    source: str
    match: tuple[tuple[Condition, ...], ...]
    ignore: tuple[Condition, ...]
    lines: tuple[Any, ...]
    fields: Mapping[str, tuple[Place, ...]]
    durations: Mapping[str, Sequence[Measure]]
    values: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    attributes: Mapping[str, tuple[Place, ...]] = field(default_factory=dict)


def parse_mappings(text: str) -> list[GatewayMapping]:
    """
    Read a mapping file.

    Shape: `[[gateway]]` tables with `name`, `match` or `line`, and a table `fields`; `product`,
    `source`, `ignore` and `attributes` may be left out.

    Raises:
        MappingError: it is no TOML, or something in it is unknown, missing or cannot be read.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise MappingError(f"not valid TOML: {exc}") from None
    if unknown := sorted(document.keys() - {"gateway"}):
        raise MappingError(f"{unknown[0]!r} is unknown: expected only [[gateway]] tables")
    tables = document.get("gateway")
    if not isinstance(tables, list) or not tables or not all(isinstance(t, dict) for t in tables):
        raise MappingError("there is no gateway: expected a [[gateway]] table for each")
    if len(tables) > _MOST_GATEWAYS:
        raise MappingError(f"there are more than {_MOST_GATEWAYS} gateways")
    found: list[GatewayMapping] = []
    for number, table in enumerate(tables, 1):
        mapping = _read_gateway(table, number)
        if any(mapping.name == other.name for other in found):
            raise MappingError(f"gateway {mapping.name!r}: the name is used twice")
        found.append(mapping)
    return found


def _read_gateway(table: Mapping[str, Any], number: int) -> GatewayMapping:
    name = table.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise MappingError(
            f"gateway {number}: name: expected lower-case letters, digits and dashes"
        )
    try:
        for key in table:
            if key not in _KEYS:
                raise MappingError(f"{key} is unknown{_meant(key, _KEYS)}")
        fields, durations = _read_fields(_table(table, "fields"))
        mapping = GatewayMapping(
            name=name,
            product=_text(table, "product") or name,
            source=_text(table, "source") or "a mapping file",
            match=_read_match(table.get("match", [])),
            ignore=_read_ignore(table.get("ignore", [])),
            lines=_read_lines(table.get("line", [])),
            fields=fields,
            durations=durations,
            values=_read_values(_table(table, "values"), fields),
            attributes=_read_attributes(_table(table, "attributes")),
        )
        if not mapping.match and not mapping.lines:
            raise MappingError("match: is missing: name members that all its entries have")
        if not any(each in fields for each in _TELLING):
            raise MappingError(f"fields: at least one of {', '.join(_TELLING)} is required")
    except MappingError as exc:
        raise MappingError(f"gateway {name!r}: {exc}") from None
    return mapping


def _read_fields(
    table: Mapping[str, Any],
) -> tuple[dict[str, tuple[Place, ...]], dict[str, list[Measure]]]:
    fields: dict[str, tuple[Place, ...]] = {}
    durations: dict[str, list[Measure]] = {}
    for name, value in table.items():
        where = f"fields.{name}"
        if match := _DURATION.fullmatch(name):
            durations.setdefault(match[1], []).extend(
                Measure(
                    tuple(_place(part, where) for part in each.split(" + ")), UNITS_NS[match[2]]
                )
                for each in _texts(value, where)
            )
        elif name in FIELDS:
            fields[name] = _places(value, where)
        elif name in DURATIONS:
            units = ", ".join(f"{name}_{unit}" for unit in UNITS_NS)
            raise MappingError(f"{where}: the unit is missing: use one of {units}")
        else:
            known = (*FIELDS, *(f"{each}_{unit}" for each in DURATIONS for unit in UNITS_NS))
            raise MappingError(f"{where}: there is no such field{_meant(name, known)}")
    return fields, durations


def _read_values(
    table: Mapping[str, Any], fields: Mapping[str, object]
) -> dict[str, Mapping[str, str]]:
    for name, words in table.items():
        if name not in fields:
            raise MappingError(f"values.{name}: not under fields{_meant(name, list(fields))}")
        if not isinstance(words, dict) or not all(isinstance(each, str) for each in words.values()):
            raise MappingError(f"values.{name}: expected a table of strings")
    return dict(table)


def _read_attributes(table: Mapping[str, Any]) -> dict[str, tuple[Place, ...]]:
    return {name: _places(value, f"attributes.{name}") for name, value in table.items()}


def _read_match(value: Any) -> tuple[tuple[Condition, ...], ...]:
    groups = value if isinstance(value, list) else [value]
    return tuple(
        tuple(_condition(text, "match") for text in _texts(each, "match")) for each in groups
    )


def _read_ignore(value: Any) -> tuple[Condition, ...]:
    return tuple(_condition(text, "ignore") for text in _texts(value, "ignore")) if value else ()


def _read_lines(value: Any) -> tuple[Any, ...]:
    options = re2.Options()
    options.log_errors = False
    patterns = []
    for text in _texts(value, "line") if value else ():
        try:
            pattern = re2.compile(text, options)
        except re2.error as exc:
            raise MappingError(f"line: not a valid RE2 pattern: {_error_text(exc)}") from None
        if not pattern.groupindex:
            raise MappingError("line: the pattern has no named groups, such as (?P<status>[0-9]+)")
        patterns.append(pattern)
    return tuple(patterns)


def _error_text(exc: Exception) -> str:
    said = exc.args[0] if exc.args else ""
    return said.decode(errors="replace") if isinstance(said, bytes) else str(said)


def _table(table: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = table.get(key, {})
    if not isinstance(value, dict):
        raise MappingError(f"{key}: expected a table")
    return value


def _text(table: Mapping[str, Any], key: str) -> str:
    value = table.get(key, "")
    if not isinstance(value, str):
        raise MappingError(f"{key}: expected a string")
    return value.replace("\n", " ").strip()


def _texts(value: Any, where: str) -> Sequence[str]:
    texts = value if isinstance(value, list) else [value]
    if not texts or not all(isinstance(each, str) for each in texts):
        raise MappingError(f"{where}: expected a string, or a list of strings")
    return texts


def _places(value: Any, where: str) -> tuple[Place, ...]:
    return tuple(_place(text, where) for text in _texts(value, where))


def _place(text: str, where: str) -> Place:
    try:
        return parse_place(text.strip())
    except ValueError as exc:
        raise MappingError(f"{where}: {exc}") from None


def _condition(text: str, where: str) -> Condition:
    try:
        return parse_condition(text)
    except ValueError as exc:
        raise MappingError(f"{where}: {exc}") from None


def _meant(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, 1)
    return f": did you mean {near[0]}?" if near else ""
