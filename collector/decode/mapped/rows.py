"""
Entries of a log into records, as a mapping says.

Times: `start` or `end` is a moment in any notation that `timestamps` reads. Durations are numbers
in the mapping's unit, or text with a unit of its own (`1.25ms`); below zero means that it did not
happen. What the product's times hold besides is not known: the whole is taken to hold the client's
sending and receiving.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from collector.decode.aliases import flatten
from collector.decode.context import (
    LoggedContext,
    context_from_headers,
    distinct,
    find_ids,
    read_context,
)
from collector.decode.fields import (
    FieldError,
    NotARequest,
    Row,
    Timestamp,
    derive_record_id,
    is_missing,
    read_duration_ns,
    read_headers,
    read_int,
    read_status,
    read_text,
    read_timestamp,
    split_tries,
    write_raw,
)
from collector.decode.mapped.mapping import NUMBERS, TEXTS, UNITS_NS, GatewayMapping, Measure
from collector.decode.mapped.places import Place, first_value
from collector.decode.outcome import CLIENT_CLOSED, note_grpc, read_cache, settle
from collector.decode.pairs import parse_logfmt
from collector.decode.quality import STREAMING, Profile, check
from collector.decode.reading import Reader
from collector.decode.urls import is_event_stream, kind_of, split_target
from collector.model import GatewayRecord

_LONGEST_LINE = 65_536
_PROFILE = Profile(stamped="end")
_PROFILE_OF_STARTS = replace(_PROFILE, stamped="start")
# Syslog's, and Tyk's: which year it was only the arrival tells.
_WITHOUT_YEAR = re.compile(r"[A-Z][a-z]{2} [ \d]?\d \d\d:\d\d:\d\d", re.ASCII)
_READ: Mapping[str, Callable[[Row, str], object]] = {
    **dict.fromkeys(TEXTS, read_text),
    **dict.fromkeys(NUMBERS, read_int),
}
# Proxies write these as the backend's when they had no answer from it.
_ITS_OWN_TOO = frozenset((CLIENT_CLOSED, 502, 504))
_MAPS = ("request_headers", "response_headers")
_NOT_OURS = "not an entry of this gateway"


def make_reader(mapping: GatewayMapping) -> Reader:
    """Return the reader of *mapping*."""
    rows = _Rows(mapping)
    return Reader(
        is_row=rows.is_own, read_row=rows.read, is_line=rows.is_line, read_line=rows.read_line
    )


class _Line(NamedTuple):
    """The members of a line, and what of it a pattern says is its own."""

    row: Row
    own: str


class _Rows:
    """Reads the entries of one gateway."""

    def __init__(self, mapping: GatewayMapping) -> None:
        self._mapping = mapping
        # whether a line is the gateway's is asked before it is read: it is parsed for both at once
        self._last: tuple[str, _Line | None] = ("", None)

    def is_own(self, row: Row) -> bool:
        """Tell whether *row* has what the mapping's `match` asks for."""
        groups = self._mapping.match
        return bool(groups) and all(any(each.holds(row) for each in group) for group in groups)

    def is_line(self, line: str) -> bool:
        """Tell whether one of the patterns, or the members of a logfmt line, are the gateway's."""
        return self._parse(line) is not None

    def read(self, row: Row) -> GatewayRecord:
        """Read an object."""
        if not self.is_own(row):
            raise FieldError(self._lacking(row), _NOT_OURS)
        return self._build(row, write_raw(row))

    def read_line(self, line: str) -> GatewayRecord:
        """Read a text line; what stands before or after its own is no part of its id."""
        parsed = self._parse(line)
        if parsed is None:
            raise FieldError("", "expected JSON, or text in the format that the mapping describes")
        record = self._build(parsed.row, write_raw(line))
        if parsed.own and record.record_id.startswith("~"):
            record.record_id = derive_record_id(parsed.own)
        return record

    def _parse(self, line: str) -> _Line | None:
        last, parsed = self._last
        if last != line:
            parsed = self._parse_anew(line)
            self._last = (line, parsed)
        return parsed

    def _parse_anew(self, line: str) -> _Line | None:
        if len(line) > _LONGEST_LINE:
            return None
        for pattern in self._mapping.lines:
            if found := pattern.search(line):
                return _Line(found.groupdict(), found[0])
        row = parse_logfmt(line) if self._mapping.match else {}
        return _Line(row, "") if row and self.is_own(row) else None

    def _lacking(self, row: Row) -> str:
        """Return what *row* would need to be an entry of this gateway."""
        for group in self._mapping.match:
            if not any(each.holds(row) for each in group):
                return str(group[0])
        return "match"

    def _build(self, row: Row, raw: str) -> GatewayRecord:
        if any(each.holds(row) for each in self._mapping.ignore):
            raise NotARequest("event", "an event that the mapping ignores, not a request")
        mapping = self._mapping
        facts = {
            name: first_value(places, row, is_map=name in _MAPS)
            for name, places in mapping.fields.items()
        }
        for name, words in mapping.values.items():
            facts[name] = _meaning(facts[name], words)
        try:
            return self._record(row, facts, raw)
        except FieldError as exc:
            places = mapping.fields.get(exc.field.partition(".")[0], ())
            spelling = next((each.text for each in places if each.find(row) is not None), None)
            named = spelling or (places[0].text if places else exc.field)
            raise FieldError(named, exc.reason) from None

    def _record(self, row: Row, facts: dict[str, Any], raw: str) -> GatewayRecord:
        _split_request_line(facts)
        moment = _read_moment(facts)
        url = split_target(read_text(facts, "url"))
        path = split_target(read_text(facts, "path"))
        record = GatewayRecord(
            gateway=self._mapping.name,
            record_id=read_text(facts, "record_id") or derive_record_id(raw),
            start_ns=moment.ns if moment else 0,
            status=read_status(_whole(facts, "status"), "status"),
            backend_status=read_status(_whole(facts, "backend_status"), "backend_status") or None,
            raw=raw,
        )
        for name in facts.keys() & _READ.keys():
            setattr(record, name, _READ[name](facts, name))
        record.path = path.path or url.path
        record.scheme = record.scheme or url.scheme
        record.host = record.host or url.host
        query = read_text(facts, "query") or path.query or url.query
        self._read_times(record, row)
        if facts.get("start") is None and record.start_ns:
            record.start_ns -= record.duration_ns or 0
        record.attributes = self._attributes(row, facts, query)
        if not (record.path or record.method or record.status is not None):
            raise FieldError("status", "is missing, and so are path and method")
        _read_backend(record, facts)
        _read_context(record, row, facts)
        settle(record)
        record.quality = check(
            record,
            _PROFILE if facts.get("start") is None else _PROFILE_OF_STARTS,
            start_resolution_ns=moment.resolution_ns if moment else 0,
        )
        return record

    def _read_times(self, record: GatewayRecord, row: Row) -> None:
        for name, measures in self._mapping.durations.items():
            setattr(record, f"{name}_ns", _read_measure(measures, row))
        written = [getattr(record, f"{name}_ns") for name in self._mapping.durations]
        if any((each or 0) % UNITS_NS["ms"] for each in written):
            # else it may be whole ms that are written in a smaller unit
            record.resolution_ns = UNITS_NS["us"]

    def _attributes(self, row: Row, facts: Row, query: str) -> dict[str, str]:
        found = {"url.query": query, "user_agent.original": read_text(facts, "user_agent")}
        for name, places in self._mapping.attributes.items():
            value = first_value(places, row)
            found[name] = write_raw(value) if isinstance(value, dict | list) else _text(value)
        return {name: value for name, value in found.items() if value}


def _meaning(value: Any, words: Mapping[str, str]) -> Any:
    """Return what *words* say for a value: for the whole of it, else for its longest beginning."""
    text = str(value)
    if value is None or text in words:
        return words.get(text, value)
    begun = (word for word in words if word.endswith("*") and text.startswith(word[:-1]))
    longest = max(begun, key=len, default="")
    return words[longest] if longest else value


def _read_moment(facts: Row) -> Timestamp | None:
    """Return the start or the end; `None` where none is mapped, or it is written without a year."""
    told = [name for name in ("start", "end") if not is_missing(facts.get(name))]
    if any(_WITHOUT_YEAR.fullmatch(str(facts[name])) for name in told):
        return None
    moment = read_timestamp(facts, "start", "end")
    if moment is None and ("start" in facts or "end" in facts):
        raise FieldError("start" if "start" in facts else "end", "is missing")
    return moment


def _split_request_line(facts: dict[str, Any]) -> None:
    """Take `GET /rooms HTTP/1.1` apart, where its parts are not there by themselves."""
    line = facts.get("request_line")
    if not isinstance(line, str):
        return
    method, _, rest = line.strip().partition(" ")
    target, _, protocol = rest.rpartition(" ")
    parts = {"method": method, "url": target or protocol, "protocol": protocol if target else ""}
    for name, value in parts.items():
        if is_missing(facts.get(name)):
            facts[name] = value


def _read_measure(measures: Sequence[Measure], row: Row) -> int | None:
    """Return the first of the alternatives that is there; a sum is, when all of its parts are."""
    for measure in measures:
        found = [_read_ns(place, row, measure.unit_ns) for place in measure.terms]
        known = [each for each in found if each is not None]
        if len(known) == len(found):
            return sum(known)
    return None


def _read_ns(place: Place, row: Row, unit_ns: int) -> int | None:
    value = place.find(row)
    if value.__class__ is not str:
        return read_duration_ns({place.text: value}, place.text, unit_ns=unit_ns)
    tries = [
        read_duration_ns({place.text: each.strip()}, place.text, unit_ns=unit_ns)
        for each in split_tries(value)
        if not is_missing(each)
    ]
    known = [each for each in tries if each is not None]
    return sum(known) if known else None


def _whole(facts: Row, name: str) -> Row:
    """Return a status without what some write behind it: `200 OK`, and of several the last."""
    value = facts.get(name)
    if not isinstance(value, str):
        return facts
    last = (split_tries(value) or ("",))[-1].partition(" ")[0]
    # HAProxy's -1 is what others write as 0: nothing was sent
    return {name: "0" if last == "-1" else last}


def _read_backend(record: GatewayRecord, facts: Row) -> None:
    backend = split_target(read_text(facts, "backend_url"))
    # of several tries the last
    record.backend_host = (split_tries(record.backend_host) or (backend.host,))[-1]
    record.backend_path = split_target(record.backend_path).path or backend.path
    record.cache = read_cache(read_text(facts, "cache"))
    status = record.status
    if record.backend_status == status and status in _ITS_OWN_TOO:
        record.backend_status = None
    if record.error_source or status is None or status < 400 or status == CLIENT_CLOSED:
        return
    if record.backend_status is not None:
        record.error_source = "backend" if record.backend_status == status else "gateway"


def _read_context(record: GatewayRecord, row: Row, facts: Row) -> None:
    headers = read_headers(facts, "request_headers")
    answered = read_headers(facts, "response_headers")
    header = read_text(facts, "traceparent")
    context = context_from_headers({"traceparent": header}) if header else LoggedContext("")
    if not context.trace_id:
        named = ("trace_id", "span_id", "parent_span_id", "sampled")
        context = read_context({name: facts[name] for name in named if name in facts})
    if not context.trace_id:
        context = context_from_headers(headers, "request_headers.")
    if not context.trace_id:
        context = read_context(flatten(row))
    record.trace_id = context.trace_id
    record.trace_id_source = context.source
    record.outgoing_span_id = context.outgoing_span_id
    record.parent_span_id = context.parent_span_id
    record.is_sampled = context.is_sampled
    given = {
        "x-request-id": read_text(facts, "request_id"),
        "x-correlation-id": read_text(facts, "correlation_id"),
    }
    ids = find_ids({name: value for name, value in given.items() if value})
    record.ids = distinct((*ids, *find_ids(headers), *find_ids(answered)))
    content_type = read_text(facts, "content_type") or headers.get("content-type", "")
    if agent := headers.get("user-agent"):
        record.attributes = {"user_agent.original": agent, **record.attributes}
    upgrade = read_text(facts, "upgrade") or headers.get("upgrade", "")
    record.kind = kind_of(content_type, "websocket" if record.status == 101 else upgrade)
    if is_event_stream(answered.get("content-type", "")):
        record.quality = (*record.quality, STREAMING)
    status = read_text(facts, "grpc_status") or answered.get("grpc-status", "")
    note_grpc(record, status, read_text(facts, "grpc_message") or answered.get("grpc-message", ""))


def _text(value: Any) -> str:
    if is_missing(value):
        return ""
    return str(value).lower() if value.__class__ is bool else str(value)
