"""
Gateway records of gateways that send spans: rows like those of any other source.

In: trace segments as they are loaded. Out: the same rows, and behind them one segment of records
for the gateway spans among them, so that search and statistics see one kind of thing. Loaded under
a token that follows from the segment's and the records' bytes, before the segment is released: a
crash in between repeats both, and what is the same is then known.

A trace that arrives in pieces is looked at again with each piece that bears a gateway's mark, with
all its spans so far. A record that is stored already is not stored again; a fuller one is, and is
merged like any other version.
"""

import logging
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from mmap import ACCESS_READ, mmap
from pathlib import Path

from collector.decode.records.codec import encode_records
from collector.decode.records.from_spans import SOURCE, ServiceRule, views_from_spans
from collector.decode.records.gateway_marks import find_marked, has_marks
from collector.errors import StoreUnavailable
from collector.journal import JournalFolder
from collector.model import GatewayRecord, Stream
from collector.store import LoadableSegment, Store
from collector.wire.varint import encode_varint

# Keys of one read are bound parameters; ClickHouse takes form fields of up to 128 KiB.
_MAX_TRACES = 400
_RECEIVED_TAG = encode_varint(2001 << 3 | 1)
_DOOR_TAG = encode_varint(2002 << 3 | 2)
_TENANT_TAG = encode_varint(2003 << 3 | 2)
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Part:
    """The records of a segment's gateway spans, as a segment."""

    id: str
    stream: Stream
    path: Path


class GatewayRows:
    """
    Loads segments into *store*, and the records of the gateway spans in them. Thread-safe.

    Of two segments with pieces of one trace, the later sees the records that the other has added.
    """

    def __init__(self, store: Store, journal: JournalFolder, rules: Sequence[ServiceRule]) -> None:
        self._store = store
        self._journal = journal
        self._rules = rules
        self._adding = threading.Lock()
        self._origin = _DOOR_TAG + _text(b"spans")
        if store.settings.tenant:
            self._origin += _TENANT_TAG + _text(store.settings.tenant.encode())

    def load(self, segment: LoadableSegment) -> None:
        """
        Load *segment*, then what its gateway spans tell. Loading it again changes nothing.

        Raises:
            StoreRejectedRows: ClickHouse refuses the segment's bytes for good; none are stored.
            StoreUnavailable: anything else; it may be stored or not. Load it again.
        """
        self._store.load(segment)
        if segment.stream is not Stream.TRACE:
            return
        try:
            if self._can_have_records(segment):
                with self._adding:
                    self._add_records(segment)
        except StoreUnavailable:
            raise
        except Exception:
            # the spans are stored, and a timeline makes its own records of them: only search lacks
            _log.exception("segment %s: making gateway records from its spans failed", segment.id)

    def recover(self) -> None:
        """Put the tables in order after a start. Raises `StoreUnavailable`."""
        self._store.recover()

    def check_parts(self) -> bool:
        """Check what merges wrote; tell whether segments let go must be loaded again."""
        return self._store.check_parts()

    def hold_merges(self, *, is_held: bool) -> None:
        """Stop merges, or let them go on. Raises `StoreUnavailable`."""
        self._store.hold_merges(is_held=is_held)

    def _add_records(self, segment: LoadableSegment) -> None:
        trace_ids: set[str] = set()
        services: set[str] = set()
        for _, message in self._journal.read_messages(segment.path):
            if has_marks(message, self._rules):
                marked = find_marked(message, self._rules)
                trace_ids |= marked.trace_ids
                services |= marked.services
        wanted = sorted(trace_ids)
        records = [
            record
            for first in range(0, len(wanted), _MAX_TRACES)
            for record in self._find_new(wanted[first : first + _MAX_TRACES], sorted(services))
        ]
        if not records:
            return
        with self._journal.open_scratch(segment.stream) as folder:
            messages = list(_messages(records, self._origin))
            # after a crash more spans may be known and so other records come of the same segment: a
            # token that was used for other bytes would drop them without a word
            digest = sha256(b"".join(messages)).hexdigest()[:16]
            part_id = f"{segment.id}.gateway-spans.{digest}"
            part = _Part(part_id, Stream.RECORD, Path(folder) / "records")
            self._journal.write_messages(part.path, messages)
            self._store.load(part)

    def _can_have_records(self, segment: LoadableSegment) -> bool:
        with (
            segment.path.open("rb") as file,
            mmap(file.fileno(), 0, access=ACCESS_READ) as body,
        ):
            return has_marks(body, self._rules)

    def _find_new(self, trace_ids: Sequence[str], services: Sequence[str]) -> list[GatewayRecord]:
        """Return the records of these traces' gateway spans that are not stored yet."""
        spans = self._store.get_spans(trace_ids, services=services)
        received = {(span.trace_id, span.span_id): span.received_ns for span in spans}
        made = [
            replace(view.record, received_ns=max(received[span_id] for span_id in view.span_ids))
            for view in views_from_spans(spans, self._rules)
        ]
        if not made:
            return []
        stored = [
            replace(record, received_ns=0)
            for record in self._store.get_records(trace_ids=trace_ids)
            if record.source == SOURCE
        ]
        return [record for record in made if replace(record, received_ns=0) not in stored]


def _text(value: bytes) -> bytes:
    return encode_varint(len(value)) + value


def _messages(records: Sequence[GatewayRecord], origin: bytes) -> Iterator[bytes]:
    """Write the records as the journal's messages: each is known since its last span is."""
    by_moment: dict[int, list[GatewayRecord]] = {}
    for record in records:
        by_moment.setdefault(record.received_ns, []).append(record)
    for received_ns, some in sorted(by_moment.items()):
        trailer = _RECEIVED_TAG + received_ns.to_bytes(8, "little") + origin
        yield encode_records(some) + trailer
