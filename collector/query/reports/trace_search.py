"""
Which traces a tracing tool looks for, read from the parameters of Jaeger's two APIs.

Source: jaegertracing/jaeger v2.20 jaegerquery query_parser.go, and apiv3/query_parser.go beside it.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from collector.errors import BadQuestion
from collector.query.search.filters import read_boolean
from collector.query.timestamps import parse_timestamp
from collector.timestamps import NS_PER_MS, NS_PER_S

DEFAULT_RANGE_NS = 48 * 3600 * NS_PER_S
DEFAULT_LIMIT = 100
MAX_LIMIT = 1_500
_MOST_DURATIONS = 16
_DURATION = re.compile(r"(\d{1,12}(?:\.\d{1,9})?)(ns|us|µs|ms|s|m|h)", re.ASCII)
_UNITS_NS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "ms": NS_PER_MS,
    "s": NS_PER_S,
    "m": 60 * NS_PER_S,
    "h": 3600 * NS_PER_S,
}
_MAX_NS = 9_223_372_036 * NS_PER_S
# The names of Jaeger's third API as its clients write them today; older ones write snake_case.
_QUERY = "query."
_CAPITAL = re.compile(r"(?<=[a-z])(?=[A-Z])")


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceSearch:
    """
    Which traces are looked for: one span of *service* (any, when it is "") has to fit all of it.

    A tag is looked for among the span's attributes and its resource's. `is_raw` says how the
    answer is wanted: as it was sent.
    """

    service: str
    operation: str
    start_ns: int
    end_ns: int
    min_duration_ns: int | None
    max_duration_ns: int | None
    tags: Mapping[str, str]
    limit: int
    is_raw: bool = False


def parse_trace_search(pairs: Iterable[tuple[str, str]], *, now_ns: int) -> TraceSearch:
    """
    Read Jaeger's parameters; unknown ones are left alone, as Jaeger does.

    Raises:
        BadQuestion: the service is missing, or a value cannot be read; the message names it.
    """
    given: dict[str, str] = {}
    tags: dict[str, str] = {}
    for name, value in pairs:
        if name == "tag":
            key, colon, content = value.partition(":")
            if not colon or not key:
                msg = f"tag: {value[:80]!r} is not key:value"
                raise BadQuestion(msg)
            tags[key] = content
        elif value.strip():
            given[name] = value.strip()
    tags |= _read_tags("tags", given.get("tags", ""))
    if not given.get("service"):
        msg = "service: is missing"
        raise BadQuestion(msg, hint="GET /api/services lists them")
    end_ns = _read_micros("end", given.get("end", ""), now_ns)
    start_ns = _read_micros("start", given.get("start", ""), end_ns - DEFAULT_RANGE_NS)
    return TraceSearch(
        service=clean_name(given["service"]),
        operation=clean_name(given.get("operation", "")),
        start_ns=start_ns,
        end_ns=end_ns,
        min_duration_ns=read_duration("minDuration", given.get("minDuration", "")),
        max_duration_ns=read_duration("maxDuration", given.get("maxDuration", "")),
        tags=tags,
        limit=_read_limit("limit", given.get("limit", "")),
    )


def parse_trace_query(pairs: Iterable[tuple[str, str]], *, now_ns: int) -> TraceSearch:
    """
    Read the parameters of Jaeger's third API: `query.serviceName`, or `query.service_name`.

    The range has to be given; the service does not. Unknown parameters are left alone.

    Raises:
        BadQuestion: a value is missing or cannot be read; the message names its parameter.
    """
    given = _Given(pairs)
    if given.text("filter"):
        msg = "query.filter: structured filters are not supported"
        raise BadQuestion(msg, hint="use query.serviceName, query.attributes and query.durationMin")
    bounds = [given.moment(name, now_ns) for name in ("startTimeMin", "startTimeMax")]
    start_ns, end_ns = bounds[0], bounds[1]
    if start_ns is None or end_ns is None:
        msg = "query.startTimeMin and query.startTimeMax are required"
        raise BadQuestion(msg)
    if start_ns >= end_ns:
        msg = "query.startTimeMin must be before query.startTimeMax"
        raise BadQuestion(msg)
    depth = "searchDepth" if given.text("searchDepth") else "numTraces"
    is_raw = given.text("rawTraces")
    return TraceSearch(
        service=clean_name(given.text("serviceName")),
        operation=clean_name(given.text("operationName")),
        start_ns=start_ns,
        end_ns=end_ns,
        min_duration_ns=read_duration(given.name("durationMin"), given.text("durationMin")),
        max_duration_ns=read_duration(given.name("durationMax"), given.text("durationMax")),
        tags=_read_tags(given.name("attributes"), given.text("attributes")),
        limit=_read_limit(given.name(depth), given.text(depth)),
        is_raw=bool(is_raw) and read_boolean(given.name("rawTraces"), is_raw),
    )


class _Given:
    """Parameters by the names of today, whichever way they were written."""

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self._pairs = {name: value.strip() for name, value in pairs if value.strip()}

    def name(self, name: str) -> str:
        """Return the parameter's name as it was written."""
        older = _QUERY + _CAPITAL.sub("_", name).lower()
        return older if older in self._pairs and _QUERY + name not in self._pairs else _QUERY + name

    def text(self, name: str) -> str:
        return self._pairs.get(self.name(name), "")

    def moment(self, name: str, now_ns: int) -> int | None:
        text = self.text(name)
        return parse_timestamp(text, name=self.name(name), now_ns=now_ns) if text else None


def clean_name(name: str) -> str:
    """Return a name that can be compared with stored ones."""
    return name[:512].replace("\x00", "")


def read_limit(limit: int) -> int:
    """Return how many traces are wanted: nothing said means the usual number."""
    return min(limit, MAX_LIMIT) if limit > 0 else DEFAULT_LIMIT


def _read_tags(name: str, text: str) -> dict[str, str]:
    if not text:
        return {}
    try:
        tags = json.loads(text)
    except (ValueError, RecursionError):
        tags = None
    if not isinstance(tags, dict):
        msg = f"{name}: is not a JSON object of texts"
        raise BadQuestion(msg)
    return {str(k): v if isinstance(v, str) else json.dumps(v) for k, v in tags.items()}


def _read_micros(name: str, text: str, default_ns: int) -> int:
    if not text:
        return max(default_ns, 0)
    if not (text.isascii() and text.isdecimal() and len(text) <= 17):
        msg = f"{name}: {text[:80]!r} is not a number of microseconds"
        raise BadQuestion(msg)
    return min(int(text) * 1_000, _MAX_NS)


def read_duration(name: str, text: str) -> int | None:
    """
    Read a duration as Go writes it: `1.2s`, `100ms`, `1m30s`; None for no text.

    Raises:
        BadQuestion: it is none; the message begins with *name*.
    """
    if not text:
        return None
    if text == "0":
        return 0
    parts = _DURATION.findall(text)
    if not parts or "".join(n + u for n, u in parts) != text or len(parts) > _MOST_DURATIONS:
        msg = f"{name}: {text[:80]!r} is not a duration"
        raise BadQuestion(msg, hint="write 1.2s, 100ms or 250us")
    total = 0
    for number, unit in parts:
        whole, _, fraction = number.partition(".")
        total += int(whole) * _UNITS_NS[unit]
        total += int(f"{fraction:0<9}") * _UNITS_NS[unit] // 10**9
    return min(total, _MAX_NS)


def _read_limit(name: str, text: str) -> int:
    if not text:
        return DEFAULT_LIMIT
    if not (text.isascii() and text.isdecimal() and len(text) <= 9 and int(text) > 0):
        msg = f"{name}: {text[:80]!r} is not a number above 0"
        raise BadQuestion(msg)
    return read_limit(int(text))
