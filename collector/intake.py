"""
The one that acknowledges: decode, check, redact, journal, count.

Whatever the door, an envelope takes this path, and a `Receipt` exists only once what it accepts is
durable. Transport ends before it, storage begins behind it.
"""

import asyncio
import contextlib
import json
import logging
import re
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from collector.clock import Clock
from collector.config import Settings
from collector.decode.formats import canonicalise_records, decode_envelope
from collector.decode.protobuf.drop_unknown import drop_unknown_fields
from collector.decode.redaction.rules import build_redactor
from collector.decode.result import DecodeResult
from collector.errors import CollectorError
from collector.journal import Journal, add_checksum
from collector.model import Decoded, Envelope, GatewayRecord, Receipt, Stream
from collector.resends import Resends, hash_delivery, map_shared
from collector.settings import IntakeSettings
from collector.telemetry import Metrics
from collector.wire.varint import encode_varint

# above this a request is decoded on a thread, so that small ones need not wait for it
_LARGE_BYTES = 512 * 1024
_MAX_REMEMBERED = 200_000
_MAX_SOURCES = 500
_OTHERS = "(others)"
_STATUS_INTERVAL_S = 2.0
_RECEIVED_TAG = encode_varint(2001 << 3 | 1)
_DOOR_TAG = encode_varint(2002 << 3 | 2)
_TENANT_TAG = encode_varint(2003 << 3 | 2)
# what of a damaged message still tells something: a resource's service.name, a span's two ids
_SERVICE = re.compile(rb"service\.name\x12[\x03-\x60]\x0a[\x01-\x5e]([A-Za-z0-9._/-]+)")
_SPAN_START = re.compile(rb"\x0a\x10[\x00-\xff]{16}\x12\x08")
_log = logging.getLogger(__name__)


@contextlib.asynccontextmanager
async def build_intake(
    settings: Settings, clock: Clock, metrics: Metrics
) -> AsyncIterator["Intake"]:
    """
    Open the journal and the intake over it; on leaving, finish what is under way and seal.

    What is given is the default tenant's; `Intake.of` gives those of the others.

    Raises:
        JournalError: the data folder cannot be used. Retryable.
    """
    async with contextlib.AsyncExitStack() as stack:
        others: dict[str, Intake] = {}
        for tenant in settings.tenancy().names:
            others[tenant] = await stack.enter_async_context(
                _open_intake(settings, tenant, clock, metrics.of_tenant(tenant), {})
            )
        own = metrics.of_tenant("") if others else metrics
        yield await stack.enter_async_context(_open_intake(settings, "", clock, own, others))


@contextlib.asynccontextmanager
async def _open_intake(
    settings: Settings,
    tenant: str,
    clock: Clock,
    metrics: Metrics,
    others: "Mapping[str, Intake]",
) -> AsyncIterator["Intake"]:
    journal = Journal(settings.journal(tenant), clock, metrics)
    journal.open()
    chosen = settings.intake(tenant)
    for path in chosen.outdated:
        path.unlink(missing_ok=True)
    intake = Intake(chosen, journal, clock, metrics, others)
    reporter = asyncio.create_task(intake.report())
    try:
        yield intake
    finally:
        reporter.cancel()
        await intake.close()
        await journal.close()


def rewrite_refused(stream: Stream, message: bytes) -> bytes:
    """
    Return a journal message that the store refused without what a decoder may stumble over.

    Raises:
        Undecodable: the bytes are not such a message. Never retried.
    """
    return add_checksum(*drop_unknown_fields(stream, message))


def describe_damaged(stream: Stream, damaged: bytes) -> str:
    """Say how many records damaged bytes of a segment held and whose, as far as can be read."""
    door = re.search(re.escape(_DOOR_TAG) + rb"[\x01-\x40]([a-z0-9-]{2,40})", damaged)
    whose = sorted({name.decode() for name in _SERVICE.findall(damaged)})
    count = len(_SPAN_START.findall(damaged)) if stream is Stream.TRACE else 0
    parts = [f"about {count} spans"] if count else [f"an unknown number of {stream} records"]
    if door:
        parts.append(f"through {door[1].decode()}")
    if whose:
        parts.append(f"of {', '.join(whose[:10])}")
    return " ".join(parts)


@dataclass(slots=True)
class _SourceCount:
    """What one source sent through one door since the process started."""

    accepted: int = 0
    rejected: int = 0
    ignored: int = 0
    refused: int = 0
    resent: int = 0
    last_seen_ns: int = 0


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A decoded envelope, ready for the journal."""

    canonical: DecodeResult
    messages: list[tuple[Stream, bytes]] = field(repr=False)
    redacted: dict[str, int]


class Intake:
    """
    Takes envelopes and records of one tenant; used from one event loop.

    *others* are the intakes of the other tenants: each has a journal, counters, a memory of what
    was sent and a salt of its own, so nothing of one can reach another.
    """

    def __init__(
        self,
        settings: IntakeSettings,
        journal: Journal,
        clock: Clock,
        metrics: Metrics,
        others: "Mapping[str, Intake] | None" = None,
    ) -> None:
        self._settings = settings
        self._journal = journal
        self._clock = clock
        self._metrics = metrics
        self._others = others or {}
        self._redactor = build_redactor(settings.redact)
        self._large = ThreadPoolExecutor(1, "decode")
        most = _MAX_REMEMBERED // settings.tenant_count
        self._resends = Resends(
            settings.resend_window_s,
            most,
            map_shared(settings.tenant_number, settings.tenant_count, most),
        )
        self._sources: dict[tuple[str, str, str], _SourceCount] = {}
        self._started_ns = clock.now_ns()
        # A report that was cancelled still writes on its thread while the last one is written.
        self._reporting = threading.Lock()

    def of(self, tenant: str) -> "Intake":
        """Return the intake of a tenant that is known to be one, "" for this one's own."""
        return self._others[tenant] if tenant else self

    async def accept(self, envelope: Envelope) -> Receipt:
        """
        Make the usable part of an envelope durable and say what became of it.

        Bytes that were accepted within the resend window are acknowledged again, not stored again.

        Raises:
            Refused: nothing of it is taken; its class says whether the sender may retry.
            JournalError: it cannot be made durable now. Retryable.
        """
        key = hash_delivery(envelope)
        known = self._resends.find(key, self._clock.monotonic_ns())
        source = self._source(envelope.door, _name_source(envelope), envelope.signal)
        source.last_seen_ns = envelope.received_ns
        if known is not None:
            source.resent += 1
            self._metrics.count("hopline_intake_envelopes_resent_total", door=envelope.door)
            return known
        try:
            prepared = await self._prepare_anywhere(envelope)
            receipt = await self._store(prepared, envelope.signal, envelope.door, source)
        except CollectorError as exc:
            self.refuse(envelope.door, _name_source(envelope), envelope.signal, exc)
            raise
        if not prepared.canonical.is_timeless:
            self._resends.add(key, receipt, self._clock.monotonic_ns())
        waited_ns = self._clock.now_ns() - envelope.received_ns
        self._metrics.observe(
            "hopline_intake_acknowledge_seconds", max(waited_ns, 0) / 1e9, door=envelope.door
        )
        return receipt

    async def accept_records(
        self, records: Sequence[GatewayRecord], *, door: str, source: str
    ) -> Receipt:
        """
        Make gateway records durable that a poller or consumer has already decoded.

        Raises:
            JournalError: nothing was taken; ask again after `retry_after_s`. Retryable.
        """
        received_ns = self._clock.now_ns()
        canonical = canonicalise_records(Decoded(records), received_ns)
        prepared = self._finish(canonical, Stream.RECORD, received_ns, door)
        counted = self._source(door, source, Stream.RECORD)
        counted.last_seen_ns = received_ns
        return await self._store(prepared, Stream.RECORD, door, counted)

    def refuse(self, door: str, source: str, signal: Stream, error: CollectorError) -> None:
        """Count a refused request, once, also when it had not become an envelope yet."""
        error.forget_frames()
        if error.is_counted:
            return
        error.is_counted = True
        counted = self._source(door, source, signal)
        counted.refused += 1
        counted.last_seen_ns = self._clock.now_ns()
        self._metrics.count("hopline_intake_envelopes_refused_total", door=door, reason=error.code)

    def check_room(self) -> None:
        """
        Let a door refuse what it has not read yet, when nothing can be accepted.

        Raises:
            JournalError: the journal is full. Retryable.
        """
        self._journal.check_room()

    def check_health(self) -> str:
        """Return why nothing can be accepted of anybody at the moment, "" when all is well."""
        troubles = [each.check_health() for each in self._others.values()]
        return self._journal.check_health() if all(troubles) else ""

    async def report(self) -> None:
        """Write the counters for the query side every two seconds, until cancelled."""
        while True:
            await asyncio.to_thread(self._write_status)
            await asyncio.sleep(_STATUS_INTERVAL_S)

    async def close(self) -> None:
        """Write the counters a last time. Call it when no envelope is under way any more."""
        self._large.shutdown()
        await asyncio.to_thread(self._write_status)

    async def _prepare_anywhere(self, envelope: Envelope) -> _Prepared:
        if len(envelope.body) < _LARGE_BYTES:
            return self._prepare(envelope)
        # one thread: large requests take turns, so their memory does not add up
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._large, self._prepare, envelope)

    def _prepare(self, envelope: Envelope) -> _Prepared:
        canonical = decode_envelope(envelope)
        return self._finish(canonical, envelope.signal, envelope.received_ns, envelope.door)

    def _finish(
        self, canonical: DecodeResult, stream: Stream, received_ns: int, door: str
    ) -> _Prepared:
        tenant = self._settings.tenant
        trailer = _RECEIVED_TAG + received_ns.to_bytes(8, "little") + _encode_origin(door, tenant)
        messages: list[tuple[Stream, bytes]] = []
        redacted: dict[str, int] = {}
        items = [(stream, message) for message in canonical.messages]
        items += [(Stream.RECORD, message) for message in canonical.records]
        for kept_as, message in items:
            if self._redactor is not None:
                message, found = self._redactor.redact_message(kept_as, message, tenant)
                for kind, count in found.items():
                    redacted[kind] = redacted.get(kind, 0) + count
            messages.append((kept_as, add_checksum(message, trailer)))
        return _Prepared(canonical, messages, redacted)

    async def _store(
        self, prepared: _Prepared, stream: Stream, door: str, source: _SourceCount
    ) -> Receipt:
        canonical = prepared.canonical
        if prepared.messages:
            # each resource takes as much of a load's memory as a row does
            rows = canonical.accepted + (canonical.resources or canonical.accepted)
            await self._journal.append(prepared.messages, rows=rows)
        count = self._metrics.count
        source.accepted += canonical.accepted
        source.rejected += canonical.rejected
        source.ignored += canonical.ignored
        count("hopline_intake_records_accepted_total", canonical.accepted, door=door, stream=stream)
        for reason, number in canonical.rejected_by.items():
            count("hopline_intake_records_rejected_total", number, door=door, reason=reason)
        for reason, number in canonical.ignored_by.items():
            count("hopline_intake_records_ignored_total", number, door=door, reason=reason)
        if canonical.without_id:
            count("hopline_intake_records_without_id_total", canonical.without_id, door=door)
        for kind, number in prepared.redacted.items():
            count("hopline_intake_values_redacted_total", number, what=kind)
        if canonical.repaired:
            count("hopline_intake_strings_repaired_total", canonical.repaired, door=door)
        return Receipt(
            canonical.accepted,
            canonical.rejected,
            canonical.errors,
            "; ".join(canonical.warnings),
            canonical.ignored,
        )

    def _source(self, door: str, name: str, signal: Stream) -> _SourceCount:
        key = (door, name, signal.value)
        found = self._sources.get(key)
        if found is None:
            if len(self._sources) >= _MAX_SOURCES:
                key = (door, _OTHERS, signal.value)
            found = self._sources.setdefault(key, _SourceCount())
        return found

    def _write_status(self) -> None:
        status = {
            "written_ns": self._clock.now_ns(),
            "started_ns": self._started_ns,
            "journal_pending_bytes": self._journal.pending_bytes,
            "sources": [
                {
                    "door": door,
                    "source": name,
                    "stream": signal,
                    "accepted": count.accepted,
                    "rejected": count.rejected,
                    "ignored": count.ignored,
                    "refused": count.refused,
                    "resent": count.resent,
                    "last_seen_ns": count.last_seen_ns,
                }
                for (door, name, signal), count in list(self._sources.items())
            ],
        }
        try:
            with self._reporting:
                _replace_file(self._settings.status_path, json.dumps(status))
        except OSError:  # a full disk: the counters are in /metrics as well
            _log.warning("cannot write %s", self._settings.status_path.name)


def _name_source(envelope: Envelope) -> str:
    return envelope.source or envelope.adapter or envelope.format.partition("-")[0]


@lru_cache(maxsize=1000)
def _encode_origin(door: str, tenant: str) -> bytes:
    parts = [_DOOR_TAG, encode_varint(len(door.encode())), door.encode()]
    if tenant:
        parts += [_TENANT_TAG, encode_varint(len(tenant.encode())), tenant.encode()]
    return b"".join(parts)


def _replace_file(path: Path, text: str) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(text)
    temporary.replace(path)
