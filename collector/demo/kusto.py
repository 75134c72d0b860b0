"""
The small part of the Kusto query language that the local Log Analytics speaks.

`let NAME = datetime(...)`, a table, and the stages `where`, `extend`, `project`, `project-away`,
`order by`, `take`. Anything else raises `KustoError`, which the server answers as Azure does: 400.

Source: learn.microsoft.com/kusto/query (let, where, extend, project, project-away, sort, take,
between, ingestion_time, coalesce, pack_all).
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

Row = Mapping[str, Any]
Value = Callable[[Row], Any]
Predicate = Callable[[Row], bool]

INGESTION = "$ingestion_time"
"""The key under which the server hands a row's ingestion time (ns) to the expressions."""

_NAME = r"[A-Za-z_]\w*"
_LET = re.compile(rf"let\s+({_NAME})\s*=\s*(.+)", re.DOTALL)
_DATETIME = re.compile(r"datetime\(\s*([0-9T:.Z+-]+)\s*\)")
_SHIFTED = re.compile(rf"\(?\s*({_NAME}|datetime\([^)]*\))\s*(?:([+-])\s*(\d+)([dhms]))?\s*\)?")
_BETWEEN = re.compile(rf"({_NAME})\s+between\s*\((.+)\.\.(.+)\)", re.DOTALL)
_TEXT_TEST = re.compile(r"(.+?)\s*(==|!=|\bhas\b|\bstartswith\b)\s*\"([^\"]*)\"")
_TIME_TEST = re.compile(rf"({_NAME})\s*(>=|<=|<|>)\s*({_NAME}|datetime\([^)]*\))")
_INGESTION_CALL = re.compile(r"ingestion_time\(\s*\)")
_COALESCE = re.compile(rf"coalesce\(\s*ingestion_time\(\s*\)\s*,\s*({_NAME})\s*\)")
_PACK_ALL = re.compile(r"pack_all\(\s*true\s*\)")
_TOSTRING = re.compile(rf"tostring\(\s*({_NAME})(?:\[\"([^\"]+)\"\])?\s*\)")
_UNIT_S = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}


class KustoError(Exception):
    """A query that this reader does not understand; `code` is Azure's inner error code."""

    def __init__(self, message: str, code: str = "SyntaxError") -> None:
        super().__init__(message)
        self.code = code


@dataclass(slots=True)
class Query:
    """One read query: the table, what a row must satisfy, and what happens to the columns."""

    table: str = ""
    predicates: list[Predicate] = field(default_factory=list)
    computed: dict[str, Value] = field(default_factory=dict)
    removed: set[str] = field(default_factory=set)
    projected: dict[str, Value] = field(default_factory=dict)
    projections: dict[str, str] = field(default_factory=dict)
    order_by: str = ""
    is_descending: bool = False
    limit: int | None = None

    def run(self, rows: Sequence[Row]) -> list[dict[str, Any]]:
        """Return the rows that match, with computed columns and without removed ones."""
        found = []
        for row in rows:
            extended = dict(row)
            for name, compute in self.computed.items():
                extended[name] = compute(extended)
            if all(accepts(extended) for accepts in self.predicates):
                found.append(extended)
        if self.order_by:
            found.sort(key=lambda row: str(row.get(self.order_by)), reverse=self.is_descending)
        kept = [
            {name: value for name, value in row.items() if name not in self.removed}
            for row in found[: self.limit]
        ]
        if not self.projected:
            return kept
        return [{name: compute(row) for name, compute in self.projected.items()} for row in kept]


def read_query(text: str) -> Query:
    """
    Read one query.

    Raises:
        KustoError: a statement, stage or expression that is not supported.
    """
    names: dict[str, int] = {}
    *lets, last = [part.strip() for part in text.strip().rstrip(";").split(";")]
    for statement in lets:
        match = _LET.fullmatch(statement)
        if not match:
            raise KustoError(f"cannot read the statement {statement!r}")
        names[match[1]] = _time(match[2], names)
    table, *stages = [part.strip() for part in re.split(r"(?:^|\n)\s*\|", last)]
    if not re.fullmatch(_NAME, table):
        raise KustoError(f"expected a table name, found {table!r}")
    query = Query(table=table)
    for stage in stages:
        _read_stage(query, stage, names)
    return query


def time_ns(text: str) -> int:
    """Return an ISO 8601 moment with up to 9 fraction digits as Unix ns."""
    match = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|\+00:00)?", text)
    if not match:
        raise KustoError(f"cannot read the datetime {text!r}")
    seconds = int(datetime.fromisoformat(match[1]).replace(tzinfo=UTC).timestamp())
    return seconds * 1_000_000_000 + int((match[2] or "0").ljust(9, "0"))


def kusto_time(moment_ns: int) -> str:
    """Return a moment as Log Analytics writes it: UTC with seven fraction digits."""
    seconds, rest = divmod(moment_ns, 1_000_000_000)
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{rest // 100:07d}Z"


def _read_stage(query: Query, stage: str, names: Mapping[str, int]) -> None:
    operator, _, rest = stage.partition(" ")
    rest = rest.strip()
    match operator:
        case "where":
            query.predicates.append(_read_condition(rest, names))
        case "extend":
            name, _, expression = rest.partition("=")
            query.computed[name.strip()] = _read_value(expression.strip())
        case "project":
            for part in _split_list(rest):
                name, _, expression = part.partition("=")
                query.projections[name.strip()] = text = (expression or name).strip()
                query.projected[name.strip()] = _read_value(text)
        case "project-away":
            query.removed |= {name.strip() for name in rest.split(",")}
        case "order" | "sort":
            match_order = re.fullmatch(rf"by\s+({_NAME})(?:\s+(asc|desc))?", rest)
            if not match_order:
                raise KustoError(f"cannot read the order {rest!r}")
            query.order_by = match_order[1]
            query.is_descending = match_order[2] != "asc"
        case "take" | "limit" if rest.isdecimal():
            query.limit = int(rest)
        case _:
            raise KustoError(f"cannot read the stage {stage!r}")


def _read_value(text: str) -> Value:
    if match := _COALESCE.fullmatch(text):
        fallback = match[1]
        return lambda row: _ingestion_time(row) or row.get(fallback)
    if _INGESTION_CALL.fullmatch(text):
        return _ingestion_time
    if _PACK_ALL.fullmatch(text):
        return _packed
    if match := _TOSTRING.fullmatch(text):
        column, key = match[1], match[2]
        return lambda row: _as_text(_member(row.get(column), key))
    if re.fullmatch(_NAME, text):
        return lambda row: row.get(text)
    raise KustoError(f"cannot read the expression {text!r}", "SemanticError")


def _read_condition(text: str, names: Mapping[str, int]) -> Predicate:
    alternatives = [
        [_read_test(test.strip(), names) for test in part.split(" and ")]
        for part in text.split(" or ")
    ]
    return lambda row: any(all(test(row) for test in tests) for tests in alternatives)


def _read_test(text: str, names: Mapping[str, int]) -> Predicate:
    if match := _BETWEEN.fullmatch(text):
        column, low, high = match[1], _time(match[2], names), _time(match[3], names)
        return lambda row: (at := _moment(row.get(column))) is not None and low <= at <= high
    if match := _TIME_TEST.fullmatch(text):
        column, sign, bound = match[1], match[2], _time(match[3], names)
        return lambda row: (at := _moment(row.get(column))) is not None and _holds(at, sign, bound)
    if match := _TEXT_TEST.fullmatch(text):
        value, sign, wanted = _read_value(match[1]), match[2], match[3]
        return lambda row: _text_holds(_as_text(value(row)), sign, wanted)
    raise KustoError(f"cannot read the condition {text!r}")


def _time(text: str, names: Mapping[str, int]) -> int:
    match = _SHIFTED.fullmatch(text.strip())
    if not match:
        raise KustoError(f"cannot read the time {text!r}")
    literal = _DATETIME.fullmatch(match[1])
    if not literal and match[1] not in names:
        raise KustoError(f"Failed to resolve scalar expression named '{match[1]}'", "SemanticError")
    base = time_ns(literal[1]) if literal else names[match[1]]
    if not match[2]:
        return base
    shift = int(match[3]) * _UNIT_S[match[4]] * 1_000_000_000
    return base + shift if match[2] == "+" else base - shift


def _moment(value: Any) -> int | None:
    if value is None or isinstance(value, int):
        return value
    if isinstance(value, datetime):
        return int(value.timestamp() * 1_000_000) * 1_000
    return time_ns(str(value))


def _holds(left: int, sign: str, right: int) -> bool:
    return {">=": left >= right, "<=": left <= right, ">": left > right, "<": left < right}[sign]


def _text_holds(text: str, sign: str, wanted: str) -> bool:
    match sign:
        case "==":
            return text == wanted
        case "!=":
            return text != wanted
        case "has":
            return wanted.lower() in text.lower()
        case _:
            return text.lower().startswith(wanted.lower())


def _member(value: Any, key: str | None) -> Any:
    if key is None or value is None:
        return value
    return value.get(key) if isinstance(value, Mapping) else None


def _as_text(value: Any) -> str:
    return "" if value is None else str(value)


def _ingestion_time(row: Row) -> str | None:
    return None if row[INGESTION] is None else kusto_time(row[INGESTION])


def _packed(row: Row) -> dict[str, Any]:
    return {
        name: value
        for name, value in row.items()
        if name != INGESTION and value is not None and value != ""
    }


def _split_list(text: str) -> list[str]:
    """Split at the commas that stand in no parentheses."""
    parts, depth = [""], 0
    for character in text:
        depth += (character == "(") - (character == ")")
        if character == "," and not depth:
            parts.append("")
        else:
            parts[-1] += character
    return parts
