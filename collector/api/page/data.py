"""
Answers that only the pages ask for: a timeline to draw, and one span of it in full.

They follow the pages and may change with them; programs use `/api/v1`.
"""

import hashlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import orjson
from cachetools import LRUCache
from fastapi import APIRouter, Request
from starlette.responses import Response

from collector.answers import encode
from collector.api.page.view import MOST_ROWS, build_rows, without_rows
from collector.api.workers import Workers
from collector.decode.envoy.access_log import entry_from_log
from collector.decode.gateways import find_adapters
from collector.errors import BadQuestion, NotFound
from collector.model import LogRecord, Span
from collector.query.results import Stitched
from collector.query.search.filters import collect_pairs, read_boolean
from collector.query.service import QueryService
from collector.query.timelines.bundle import format_bundle
from collector.settings import DoorSettings
from collector.stitch.timeline import TimelineSpan
from collector.stitch.tree.siblings import bare_name
from collector.timestamps import format_timestamp, to_ms

_JSON = "application/json"
# Opening spans one after the other must not stitch 10,000 of them each time.
_MOST_KEPT_SPANS = 60_000
_MOST_KEPT = 8
# Roles of proxies, and the direction that their access logs speak of; "" is either.
_SIDES = {"server_proxy": "inbound", "client_proxy": "outbound", "edge": "", "waypoint": ""}


@dataclass(frozen=True, slots=True)
class _Asked:
    """Which timeline, and who asks: nobody is answered from what another token read."""

    id: str
    as_of: str
    raw: bool
    reader: bytes


def build_page_routes(questions: QueryService, workers: Workers, doors: DoorSettings) -> APIRouter:
    """Return the routes below `/api/page`."""
    router = APIRouter(include_in_schema=False)
    kept = _Kept(questions)

    async def answer(ask: Callable[[], Any]) -> Response:
        body = await workers.run(lambda: orjson.dumps(ask()))
        return Response(body, media_type=_JSON)

    @router.get("/api/page/timeline")
    async def timeline(request: Request) -> Response:
        given = collect_pairs(
            request.query_params.multi_items(), ("id", "as_of", "raw", "first", "limit")
        )
        first = _read_count("first", given.get("first", "0"), 10**9)
        limit = _read_count("limit", given.get("limit", str(MOST_ROWS)), MOST_ROWS)
        return await answer(partial(_timeline, kept, _asked(request, given), first, limit))

    @router.get("/api/page/doors")
    async def open_doors() -> Response:
        body = {
            "ingest_port": doors.ingest_port,
            "otlp_grpc_port": doors.otlp_grpc_port,
            "needs_token": doors.needs_token,
            "has_tls": doors.has_tls,
            "adapters": sorted(find_adapters()),
        }
        return Response(orjson.dumps(body), media_type=_JSON)

    @router.get("/api/page/heat")
    async def heat(request: Request) -> Response:
        pairs = request.query_params.multi_items()
        body = await workers.run(lambda: encode(questions.reports.heat(pairs)))
        return Response(body, media_type=_JSON)

    @router.get("/api/page/series")
    async def series(request: Request) -> Response:
        pairs = request.query_params.multi_items()
        body = await workers.run(lambda: encode(questions.reports.series(pairs)))
        return Response(body, media_type=_JSON)

    @router.get("/api/page/span")
    async def span(request: Request) -> Response:
        given = collect_pairs(request.query_params.multi_items(), ("id", "as_of", "raw", "span"))
        return await answer(partial(_span, kept, _asked(request, given), given.get("span", "")))

    @router.get("/api/page/bundle")
    async def bundle(request: Request) -> Response:
        given = collect_pairs(request.query_params.multi_items(), ("id", "as_of"))
        asked = _asked(request, given)
        return Response(await workers.run(_bundle, questions, asked), media_type=_JSON)

    return router


def _bundle(questions: QueryService, asked: _Asked) -> bytes:
    """Return the bytes of a bundle as `hopline explain ID --bundle FILE` writes and reads it."""
    timelines = questions.timelines
    documents = {
        "timeline": timelines.get(asked.id, as_of=asked.as_of),
        "account": timelines.explain(asked.id, as_of=asked.as_of),
        "stored": timelines.spans(asked.id, as_of=asked.as_of),
    }
    return format_bundle({name: orjson.loads(encode(each)) for name, each in documents.items()})


def _timeline(kept: "_Kept", asked: _Asked, first: int, limit: int) -> dict[str, Any]:
    # Further rows belong to the timeline whose first rows were read, whatever arrived since.
    stitched = kept.recall(asked) if first else kept.read(asked)
    document = build_rows(stitched.timeline, stitched.spans, first, limit)
    if first == 0:
        document["request"] = orjson.Fragment(encode(without_rows(stitched.timeline)))
    return document


def _span(kept: "_Kept", asked: _Asked, span_id: str) -> dict[str, Any]:
    stitched = kept.recall(asked)
    for span in (*stitched.timeline.spans, *stitched.timeline.callers):
        if span.span_id == span_id:
            stored = next((each for each in stitched.spans if _is_stored_as(span, each)), None)
            return _details(span, stored, _lines_of(span, stitched))
    msg = f"span: {span_id[:40]!r} is not in this request"
    raise NotFound(msg, hint="the request may have changed: load it again")


def _is_stored_as(span: TimelineSpan, stored: Span) -> bool:
    return (stored.trace_id, stored.span_id) == (span.trace_id, span.raw_span_id)


def _lines_of(span: TimelineSpan, stitched: Stitched) -> list[LogRecord]:
    """Return the log lines with the id of *span*, and its proxy's that name no span shown here."""
    shown = {each.raw_span_id for each in stitched.timeline.spans}
    return [
        log
        for log in stitched.logs
        if log.span_id in (span.span_id, span.raw_span_id)
        or (log.span_id not in shown and _is_access_of(span, log))
    ]


def _is_access_of(span: TimelineSpan, log: LogRecord) -> bool:
    """Tell whether *log* is the access log line of the proxy that *span* is of."""
    side = _SIDES.get(span.role)
    entry = entry_from_log(log) if side is not None else None
    return (
        entry is not None
        and abs(entry.start_ns - span.raw_start_ns) <= entry.resolution_ns
        and entry.direction in ("", side or entry.direction)
        and bare_name(entry.service) in ("", bare_name(span.service))
    )


def _details(span: TimelineSpan, stored: Span | None, logs: list[LogRecord]) -> dict[str, Any]:
    """Return what a span's bar does not show; times are RFC 3339 and as they were sent."""
    document: dict[str, Any] = {
        "span_id": span.span_id,
        "raw_span_id": span.raw_span_id,
        "raw_parent_span_id": span.raw_parent_span_id,
        "trace_id": span.trace_id,
        "host": span.host,
        "kind": span.kind,
        "raw_start": format_timestamp(span.raw_start_ns),
        "adjusted_by_ms": to_ms(span.adjusted_by_ns),
        "adjusted_bound_ms": to_ms(span.adjusted_bound_ns),
        "adjusted_reason": span.adjusted_reason,
        "status": span.status,
        "status_message": span.status_message,
        "flags": span.flags,
        "attributes": dict(span.attributes),
        "logs": [_log(log) for log in logs],
    }
    if stored:
        document |= {
            "resource": dict(stored.resource),
            "scope": stored.scope,
            "trace_state": stored.trace_state,
            "received": format_timestamp(stored.received_ns),
            "events": [
                {
                    "time": format_timestamp(event.time_ns),
                    "after_ms": to_ms(event.time_ns - stored.start_ns),
                    "name": event.name,
                    "attributes": dict(event.attributes),
                }
                for event in stored.events
            ],
            "links": [
                {
                    "trace_id": link.trace_id,
                    "span_id": link.span_id,
                    "attributes": dict(link.attributes),
                }
                for link in stored.links
            ],
        }
    return document


def _log(log: LogRecord) -> dict[str, Any]:
    return {
        "time": format_timestamp(log.time_ns),
        "service": log.service,
        "severity": log.severity,
        "body": log.body,
        "event_name": log.event_name,
        "attributes": dict(log.attributes),
    }


class _Kept:
    """The timelines that were looked at last. Thread-safe."""

    def __init__(self, questions: QueryService) -> None:
        self._questions = questions
        self._lock = threading.Lock()
        self._held: LRUCache[_Asked, Stitched] = LRUCache(_MOST_KEPT_SPANS, getsizeof=_weigh)

    def read(self, asked: _Asked) -> Stitched:
        """
        Return the timeline as it is now, and keep it. One that is final does not change any more.

        Raises:
            NotFound: nothing is known under this id.
        """
        with self._lock:
            held = self._held.get(asked)
            if held is not None and held.timeline.state == "final":
                return held
        found = self._questions.timelines.stitched(asked.id, as_of=asked.as_of, raw=asked.raw)
        with self._lock:
            self._held[asked] = found
        return found

    def recall(self, asked: _Asked) -> Stitched:
        """Return the timeline that was read last under this id, else read it."""
        with self._lock:
            found = self._held.get(asked)
        return found if found is not None else self.read(asked)


def _weigh(stitched: Stitched) -> int:
    """Return what a timeline takes of the spans kept: a share at least, all of them at most."""
    return min(max(len(stitched.spans), _MOST_KEPT_SPANS // _MOST_KEPT), _MOST_KEPT_SPANS)


def _asked(request: Request, given: dict[str, str]) -> _Asked:
    if "id" not in given:
        msg = "id: is missing"
        raise BadQuestion(msg)
    header = request.headers.get("authorization", "")
    return _Asked(
        given["id"],
        given.get("as_of", ""),
        read_boolean("raw", given.get("raw", "false")),
        hashlib.blake2b(header.encode(), digest_size=16).digest(),
    )


def _read_count(name: str, text: str, most: int) -> int:
    if text.isascii() and text.isdecimal() and len(text) < 10 and int(text) <= most:
        return int(text)
    msg = f"{name}: is not a whole number from 0 to {most}"
    raise BadQuestion(msg)
