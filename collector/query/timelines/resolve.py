"""
From any id that a person has to everything stored about its request.

In: text. Out: the records, spans and logs that may belong to one request. Ids lead to traces and
records, those carry further ids, and so on: a few rounds, each with a cap, so that an id shared by
thousands of requests (a session's correlation id) cannot pull them all in.
"""

import re
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import unquote

from collector.errors import BadQuestion
from collector.identity import ids
from collector.identity.pasted import MAX_LENGTH, find_ids
from collector.model import GatewayRecord, LogRecord, Span
from collector.stitch.tree.access_logs import read_entries
from collector.store import IdHit

MAX_TRACES = 16
MAX_RECORDS = 64
# Stitched, written and shown within the 30 s of an answer on a machine that has other work as well;
# 200,000 took longer. The earliest are read, and the answer says that there are more.
MAX_SPANS = 50_000
MAX_LOGS = 5_000
_MAX_ROUNDS = 4
_MAX_ID_LENGTH = 512
_MIN_LENGTH = 4
# An id that leads to more requests than this says nothing about which of them belong together.
_MAX_HITS_OF_A_KEY = 16
_TRACE_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)
_SPAN_ID = re.compile(r"[0-9a-f]{16}", re.ASCII)
_ESCAPED = re.compile(r"%[0-9A-Fa-f]{2}", re.ASCII)
_NAMES = "|".join(
    re.escape(name)
    for name in (
        *ids.REQUEST_ID_HEADERS,
        "traceparent",
        "b3",
        "x-b3-traceid",
        "uber-trace-id",
        "x-cloud-trace-context",
        "x-datadog-trace-id",
        *("trace_id", "trace-id", "traceid", "correlationid", "correlation_id", "correlation-id"),
        *("request_id", "requestid", "operation_id", "operationid", "xraytraceid"),
    )
)
_NAMED = re.compile(rf"[\"']?(?:{_NAMES})[\"']?\s*[:=]\s*(.+)", re.IGNORECASE | re.DOTALL)
_EXAMPLES = (
    "give a trace id (32 or 16 hex digits), a whole traceparent, b3, uber-trace-id or "
    "X-Amzn-Trace-Id header, or the id of a gateway: a correlation id, x-request-id, Kong or AWS "
    "request id"
)


class Reads(Protocol):
    """The named reads of the store that resolving an id needs."""

    def find_ids(self, keys: Sequence[str]) -> list[IdHit]: ...

    def find_span_ids(self, span_ids: Sequence[str]) -> list[IdHit]: ...

    def get_spans(
        self, trace_ids: Sequence[str], *, received_until_ns: int | None = None, limit: int = ...
    ) -> list[Span]: ...

    def get_logs(
        self, trace_ids: Sequence[str], *, received_until_ns: int | None = None, limit: int = ...
    ) -> list[LogRecord]: ...

    def find_logs(
        self, keys: Sequence[str], *, received_until_ns: int | None = None, limit: int = ...
    ) -> list[LogRecord]: ...

    def get_records(
        self,
        *,
        trace_ids: Sequence[str] = (),
        record_keys: Sequence[tuple[str, str]] = (),
        received_until_ns: int | None = None,
    ) -> list[GatewayRecord]: ...


@dataclass(slots=True)
class Gathered:
    """
    What was found under the id that was asked for, as stored.

    `hits` are where the id itself was seen, newest first. `is_cut` tells that a cap was reached.
    """

    asked: "Asked"
    records: list[GatewayRecord] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    logs: list[LogRecord] = field(default_factory=list)
    hits: list[IdHit] = field(default_factory=list)
    is_cut: bool = False
    reading_logs: list[Future[list[LogRecord]]] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        """Tell that nothing is stored, or nothing that a request can be made of."""
        return not (self.records or self.spans or read_entries(self.logs))


@dataclass(frozen=True, slots=True)
class Asked:
    """An id that somebody asked for, and the keys under which it may be known, likeliest first."""

    text: str
    keys: tuple[str, ...]


def read_ids(text: str) -> tuple[Asked, ...]:
    """
    Return the ids in *text*, likeliest first: the text as a whole, then what stands in it.

    Raises:
        BadQuestion: there is no id in it: too short, too long, or not printable. Never retried.
    """
    if len(text) > MAX_LENGTH:
        msg = f"id: longer than {MAX_LENGTH} characters"
        raise BadQuestion(msg, hint=_EXAMPLES)
    cleaned = clean_id(text)
    asked: dict[tuple[str, ...], Asked] = {}
    for each in filter(_may_be_id, (cleaned, *find_ids(text))):
        known = [candidate.key for candidate in ids.trace_id_candidates(each)]
        keys = tuple(dict.fromkeys((*known, *sorted(halves(known)))))
        if keys and keys not in asked:
            asked[keys] = Asked(each, keys)
    if not asked:
        msg = f"id: there is no id in {text.strip()[:80]!r}"
        raise BadQuestion(msg, hint=_EXAMPLES)
    return tuple(asked.values())


def halves(trace_ids: Iterable[str]) -> set[str]:
    """Return the ids under which a system of 64 bits stores its part of the traces."""
    return {
        ids.normalise_trace_id(ids.low_64(trace_id))
        for trace_id in trace_ids
        if _TRACE_ID.fullmatch(trace_id)
    }


def clean_id(text: str) -> str:
    """Undo what copying does to an id: escapes, a header's name, quotes, white space, commas."""
    cleaned = text.strip()
    for _ in range(2):
        if _ESCAPED.search(cleaned):
            cleaned = unquote(cleaned).strip()
    cleaned = cleaned.strip(" \t\r\n,;<>`")
    named = _NAMED.fullmatch(cleaned)
    if named:
        cleaned = named[1]
    return cleaned.strip(" \t\r\n,;<>`\"'")


def _may_be_id(text: str) -> bool:
    return (
        _MIN_LENGTH <= len(text) <= _MAX_ID_LENGTH
        and text.isprintable()
        and any(character.isalnum() for character in text.replace("0", ""))
    )


def gather(
    reads: Reads,
    asked: Sequence[Asked],
    aside: Executor,
    *,
    received_until_ns: int | None = None,
    has_logs: bool = True,
) -> Gathered:
    """
    Collect what belongs to the first of *asked* that is known; nothing gives an empty `Gathered`.

    Reads that do not need each other run at the same time, some of them on *aside*: each costs a
    few milliseconds whatever it returns, and together they decide how long a timeline takes. For
    the same reason a key that reads like a trace id is taken for one before it has been looked up.
    """
    gathering = _Gathering(reads, aside, received_until_ns, has_logs=has_logs)
    if len(asked) == 1 and _TRACE_ID.fullmatch(asked[0].keys[0]):
        found = gathering.guess(asked[0])
    else:
        found = gathering.follow(*_choose(asked, reads.find_ids(_keys_of(asked))))
    if found.is_empty:
        spans = [key for each in asked for key in each.keys if _SPAN_ID.fullmatch(key)]
        hits = reads.find_span_ids(list(dict.fromkeys(spans)))
        if hits:
            first = next(each for each in asked if hits[0].key in each.keys)
            chosen = Asked(hits[0].key, first.keys)
            found = gathering.follow(chosen, [hit for hit in hits if hit.key == chosen.text])
    return found


def _keys_of(asked: Iterable[Asked]) -> list[str]:
    return list(dict.fromkeys(key for each in asked for key in each.keys))


def _choose(asked: Sequence[Asked], hits: Sequence[IdHit]) -> tuple[Asked, list[IdHit]]:
    """Return the first id that is known anywhere, and where; the first of all if none is."""
    known = {hit.key for hit in hits}
    chosen = next((each for each in asked if known & set(each.keys)), asked[0])
    return chosen, [hit for hit in hits if hit.key in chosen.keys]


class _Gathering:
    """Follows ids from where they were seen to all that belongs to the same request."""

    def __init__(
        self, reads: Reads, aside: Executor, received_until_ns: int | None, *, has_logs: bool
    ) -> None:
        self._reads = reads
        self._aside = aside
        self._until_ns = received_until_ns
        self._has_logs = has_logs

    def guess(self, asked: Asked) -> Gathered:
        """Take the id for a trace id while it is being looked up."""
        trace_id = asked.keys[0]
        looking_up = self._aside.submit(self._reads.find_ids, asked.keys)
        hits = [IdHit(trace_id, "trace_id", trace_id, "", "", 0)]
        return self._follow(Gathered(asked=asked), hits, looking_up)

    def follow(self, asked: Asked, hits: Sequence[IdHit]) -> Gathered:
        """Start from the places where the id was seen, the newest first: a cap keeps those."""
        return self._follow(Gathered(asked=asked, hits=list(hits)), hits)

    def _follow(
        self,
        found: Gathered,
        hits: Sequence[IdHit],
        looking_up: "Future[list[IdHit]] | None" = None,
    ) -> Gathered:
        known_keys = set(found.asked.keys)
        traces: dict[str, None] = {}
        records: dict[tuple[str, str], None] = {}
        for _ in range(_MAX_ROUNDS):
            new_traces, new_records = _take(hits, traces, records, found)
            logs = _find_logs(self._reads, hits, found, self._until_ns)
            if not new_traces and not new_records and not logs:
                break
            rows, spans = self._read(new_traces, new_records, found)
            for row in rows:
                records.setdefault((row.gateway, row.record_id))
            further = (ids_in(rows, spans) | ids_in_logs(logs)) - known_keys
            known_keys |= further
            hits = _telling(self._reads.find_ids(sorted(further)) if further else [], found)
            if looking_up is not None:
                found.hits = looking_up.result()
                hits, looking_up = [*found.hits, *hits], None
        found.records = _distinct(found.records)
        found.logs += [log for reading in found.reading_logs for log in reading.result()]
        return found

    def _read(
        self,
        traces: Sequence[str],
        records: Sequence[tuple[str, str]],
        found: Gathered,
    ) -> tuple[list[GatewayRecord], list[Span]]:
        """Read what is stored of some traces and records, and start reading their logs."""
        reading_rows = self._aside.submit(
            self._reads.get_records,
            trace_ids=traces,
            record_keys=records,
            received_until_ns=self._until_ns,
        )
        room = MAX_SPANS - len(found.spans)
        spans = self._reads.get_spans(traces, received_until_ns=self._until_ns, limit=room)
        found.is_cut |= len(spans) >= room
        if self._has_logs and traces:
            found.reading_logs.append(
                self._aside.submit(self._reads.get_logs, traces, received_until_ns=self._until_ns)
            )
        rows = reading_rows.result()
        found.spans += spans
        found.records += rows
        return rows, spans


def _find_logs(
    reads: Reads, hits: Iterable[IdHit], found: Gathered, received_until_ns: int | None
) -> list[LogRecord]:
    """Add the log records that have no trace id and carry one of the ids of *hits*."""
    keys = sorted({hit.key for hit in hits if not hit.trace_id and not hit.record_id})
    if not keys:
        return []
    logs = reads.find_logs(keys, received_until_ns=received_until_ns, limit=MAX_LOGS)
    found.is_cut |= len(logs) >= MAX_LOGS
    held = {_log_version(log) for log in found.logs}
    logs = [log for log in logs if _log_version(log) not in held]
    found.logs += logs
    return logs


def _log_version(log: LogRecord) -> tuple[object, ...]:
    facts = tuple(sorted(log.attributes.items())), tuple(sorted(log.resource.items()))
    return (log.time_ns, log.service, log.body, *facts)


def _take(
    hits: Iterable[IdHit],
    traces: dict[str, None],
    records: dict[tuple[str, str], None],
    found: Gathered,
) -> tuple[list[str], list[tuple[str, str]]]:
    """Note the traces and records of *hits* that are new, as far as the caps allow."""
    new_traces, new_records = [], []
    for hit in hits:
        if hit.trace_id and hit.trace_id not in traces:
            if len(traces) >= MAX_TRACES:
                found.is_cut = True
            else:
                traces[hit.trace_id] = None
                new_traces.append(hit.trace_id)
        key = (hit.gateway, hit.record_id)
        if hit.record_id and key not in records:
            if len(records) >= MAX_RECORDS:
                found.is_cut = True
            else:
                records[key] = None
                new_records.append(key)
    return new_traces, new_records


def ids_in(rows: Iterable[GatewayRecord], spans: Iterable[Span]) -> set[str]:
    """Return the keys of all ids that records and spans carry beside their own."""
    keys: set[str] = set()
    for row in rows:
        keys.update((row.trace_id, *halves((row.trace_id,))))
        if ids.is_64bit(row.trace_id):
            # the low half of a longer id is a key of the index, as Datadog's headers have it
            keys.add(ids.low_64(row.trace_id))
        keys.update(ids.request_id_key(item.value) for item in row.ids if item.kind != "span_id")
        keys.update(
            ids.normalise_trace_id(item.value) for item in row.ids if item.kind != "span_id"
        )
        keys.add(ids.normalise_trace_id(row.record_id))
    keys |= halves({span.trace_id for span in spans})
    for span in spans:
        if ids.has_request_id(span.attributes):
            found = ids.read_request_ids(span.attributes)
            keys.update(ids.request_id_key(value) for _, value in found)
    keys.discard("")
    return keys


def ids_in_logs(logs: Iterable[LogRecord]) -> set[str]:
    """Return the keys of the trace and request ids that access logs carry in their fields."""
    entries = read_entries(logs)
    keys = {ids.request_id_key(entry.request_id) for entry in entries}
    return (keys | {entry.trace_id for entry in entries}) - {""}


def is_telling(hits: Sequence[IdHit]) -> bool:
    """Tell whether the hits of one key are few enough to be of one request."""
    return len({(hit.trace_id, hit.record_id) for hit in hits}) <= _MAX_HITS_OF_A_KEY


def _telling(hits: Sequence[IdHit], found: Gathered) -> list[IdHit]:
    """Drop the hits of keys that lead to too many requests to mean one."""
    groups: dict[str, list[IdHit]] = {}
    for hit in hits:
        groups.setdefault(hit.key, []).append(hit)
    vague = {key for key, group in groups.items() if not is_telling(group)}
    found.is_cut |= bool(vague)
    return [hit for hit in hits if hit.key not in vague]


def _distinct(rows: Iterable[GatewayRecord]) -> list[GatewayRecord]:
    """A record can be reached by its trace and by its own id: keep each stored version once."""
    seen = set()
    kept = []
    for row in rows:
        version = (row.gateway, row.record_id, row.source, row.received_ns, row.raw)
        if version not in seen:
            seen.add(version)
            kept.append(row)
    return kept
