"""
One request by any of its ids: its timeline, told in sentences, or what is stored of it.

In: text that holds an id. Out: `Timeline`, `Explanation`, `Stored`.
"""

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import replace

from collector.clock import Clock
from collector.errors import NotFound
from collector.identity.ids import prefix_key
from collector.model import Span, Stream
from collector.query.learned.freshness import Freshness
from collector.query.learned.likely_partners import LikelyPartners, is_taken
from collector.query.results import Stitched, Stored
from collector.query.timelines.explanation import Explanation, build_explanation
from collector.query.timelines.resolve import MAX_SPANS, Gathered, gather, read_ids
from collector.query.timelines.stitching import Stitching
from collector.query.timestamps import parse_timestamp
from collector.stitch.join.likely import LikelyPair
from collector.stitch.timeline import Finding, LinkingRequest, Timeline
from collector.store import Store
from collector.timestamps import NS_PER_H, format_timestamp

# A batch is worked on after its message was sent; later than that is not looked for, nor is who
# links to the later messages of a trace that goes on for hours: a range is read, without an index.
_LINKED_WITHIN_NS = NS_PER_H


class Timelines:
    """
    Answers questions about one request. Thread-safe.

    Every method limits what is known to what had arrived at *as_of*, and raises `NotFound` where
    nothing is known under an id; the hint says what may still come.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        freshness: Freshness,
        stitching: Stitching,
        likely_partners: LikelyPartners,
        aside: Executor,
    ) -> None:
        self._store = store
        self._clock = clock
        self._freshness = freshness
        self._stitching = stitching
        self._likely_partners = likely_partners
        self._aside = aside

    def get(self, text: str, *, as_of: str = "", raw: bool = False) -> Timeline:
        """
        Return the request that the id in *text* belongs to; the newest when there are several.

        *as_of* limits it to what had arrived by then; *raw* leaves every clock as it is.

        Raises:
            NotFound: nothing is known under this id; the hint says what may still come.
        """
        return self.stitched(text, as_of=as_of, raw=raw).timeline

    def stitched(self, text: str, *, as_of: str = "", raw: bool = False) -> Stitched:
        """
        Return the timeline of an id together with the stored spans behind it.

        Raises:
            NotFound: nothing is known under this id.
        """
        now_ns = self._clock.now_ns()
        until_ns = parse_timestamp(as_of, name="as_of", now_ns=now_ns) if as_of else None
        found = self._gather(text, until_ns)
        likely = self._add_likely(found, until_ns)
        timeline = self._stitching.make(
            found.records,
            found.spans,
            found.logs,
            now_ns=now_ns if until_ns is None else min(until_ns, now_ns),
            subject=_subject(found),
            likely=likely,
            is_raw=raw,
        )
        timeline = replace(timeline, linked_from=self._find_linking(found.spans, until_ns))
        if found.is_cut:
            timeline = _mark_cut(timeline, found)
        return Stitched(timeline=timeline, spans=tuple(found.spans), logs=tuple(found.logs))

    def explain(self, text: str, *, as_of: str = "") -> Explanation:
        """
        Return the timeline of an id told in sentences.

        Raises:
            NotFound: nothing is known under this id.
        """
        return build_explanation(self.get(text, as_of=as_of))

    def spans(self, text: str, *, as_of: str = "") -> Stored:
        """
        Return what is stored about an id, untouched.

        Raises:
            NotFound: nothing is known under this id.
        """
        now_ns = self._clock.now_ns()
        until_ns = parse_timestamp(as_of, name="as_of", now_ns=now_ns) if as_of else None
        found = self._gather(text, until_ns)
        return Stored(
            id=text.strip(),
            records=tuple(found.records),
            spans=tuple(found.spans),
            logs=tuple(found.logs),
            is_cut=found.is_cut,
        )

    def _gather(self, text: str, until_ns: int | None) -> Gathered:
        found = gather(
            self._store,
            read_ids(text),
            self._aside,
            received_until_ns=until_ns,
            has_logs=bool(self._freshness.names(Stream.LOG)),
        )
        if not found.is_empty:
            return found
        raise self._not_found(text, found, until_ns)

    def _find_linking(
        self, spans: Sequence[Span], until_ns: int | None
    ) -> tuple[LinkingRequest, ...]:
        """Return who links to a request that sent a message; for others nobody is looked for."""
        sent = [span for span in spans if span.kind == "Producer"]
        if not sent:
            return ()
        first_ns = min(span.start_ns for span in sent)
        last_ns = min(max(span.end_ns for span in sent), first_ns + _LINKED_WITHIN_NS)
        linking = self._store.find_linking(
            sorted({span.trace_id for span in sent}),
            first_ns,
            last_ns + _LINKED_WITHIN_NS,
            received_until_ns=until_ns,
        )
        return tuple(
            LinkingRequest(
                trace_id=each.trace_id,
                span_id=each.span_id,
                service=each.service,
                operation=each.name,
                start_ns=each.start_ns,
                to_span_id=each.linked_span_id,
            )
            for each in linking
        )

    def _add_likely(self, found: Gathered, until_ns: int | None) -> list[LikelyPair]:
        """Add the spans of the likeliest partner of lonely records, or the record of spans."""
        if found.spans and not found.records and until_ns is None:
            return self._add_likely_record(found)
        if not found.records or found.spans or found.logs:
            return []
        likely = self._likely_partners.find(found.records, known_until_ns=until_ns)
        traces = sorted({pair.span.partition("/")[0] for pair in likely if is_taken(pair)})
        if traces:
            found.spans += self._store.get_spans(traces, received_until_ns=until_ns)
        return likely

    def _add_likely_record(self, found: Gathered) -> list[LikelyPair]:
        starts_ns: dict[str, int] = {}
        for span in found.spans:
            known_ns = starts_ns.get(span.trace_id, span.start_ns)
            starts_ns[span.trace_id] = min(known_ns, span.start_ns)
        likely = [
            pair
            for pair in self._likely_partners.find_listed((), starts_ns)
            if pair.span.partition("/")[0] in starts_ns
        ]
        keys = [(gateway, id_) for gateway, _, id_ in (p.record.partition("/") for p in likely)]
        found.records += self._store.get_records(record_keys=keys)
        return likely

    def _not_found(self, text: str, found: Gathered, until_ns: int | None) -> NotFound:
        shown = found.asked.text[:80]
        start = shown.rstrip("….")
        where = "trace ids, gateway record ids, and the request ids in records, spans and logs"
        if found.hits and until_ns is not None:
            msg = f"{shown!r} was not yet known at {format_timestamp(until_ns)}"
            return NotFound(msg, hint="leave out as_of to see what is known now")
        msg = f"nothing is stored under {shown!r}; searched: {where}"
        hint = self._freshness.describe_outstanding()
        beginning = prefix_key(start)
        if beginning and (len(beginning) not in (16, 32) or start != shown):
            hint = f"the beginning of an id is found by a search for q={start}; {hint}"
        return NotFound(msg, hint=hint)


def _subject(found: Gathered) -> str:
    """
    Return what names the request that was asked for.

    That is the newest one that the id itself was seen in, by its record if it has one; a span's id
    says more than its trace's does.
    """
    if found.hits and found.hits[0].kind == "span_id":
        return found.asked.text
    records = {(record.gateway, record.record_id) for record in found.records}
    for hit in found.hits:
        if (hit.gateway, hit.record_id) in records:
            return hit.record_id
    traces = {span.trace_id for span in found.spans}
    trace_id = next((hit.trace_id for hit in found.hits if hit.trace_id in traces), "")
    return trace_id or found.asked.text


def _mark_cut(timeline: Timeline, found: Gathered) -> Timeline:
    finding = Finding(
        rule="TOO_MUCH_UNDER_THIS_ID",
        title="More requests carry this id than are read at once",
        meaning="What is shown may lack a part of the request.",
        hop=-1,
        message="The newest of them were taken.",
        fix="Ask with an id of the single request: its trace id or the gateway's own id.",
    )
    if len({span.trace_id for span in found.spans}) == 1 and len(found.spans) >= MAX_SPANS:
        finding = replace(
            finding,
            title="The trace has more spans than are read at once",
            message=f"{len(found.spans):,} of its spans were taken.",
            fix="All of them are in the table hopline.otel_traces. Let the job or the connection "
            "that never ends begin a new trace for each piece of its work.",
        )
    return replace(timeline, findings=(*timeline.findings, finding))
