"""
The Event Hubs consumer: gateway records seconds after the fact, over the hub's Kafka endpoint.

Offsets are committed only when the sink has made the records durable, so a crash reads events
again and loses none; reading one again makes the same record again. An event that cannot be read
goes to the dead letter folder, masked, with its place in the hub, and the others go on.

Source: azure-docs event-hubs apache-kafka-configurations.md (timeouts), azure-event-hubs-kafka
overview (SASL_SSL, PLAIN, user `$ConnectionString`); aiokafka 0.14 consumer.
"""

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import (
    AuthenticationFailedError,
    CommitFailedError,
    GroupAuthorizationFailedError,
    KafkaError,
    TopicAuthorizationFailedError,
)

from collector.clock import Clock
from collector.decode.formats import give_time_of_arrival
from collector.decode.redaction.rules import build_redactor
from collector.errors import (
    CollectorError,
    ConfigError,
    JournalError,
    PullError,
    SourceDenied,
    SourceUnavailable,
    TooLarge,
    Undecodable,
)
from collector.model import GatewayRecord, RecordError
from collector.pull.events import decode_event
from collector.pull.sink import RecordSink, count_ignored
from collector.pull.watermarks import Progress, WatermarkFile
from collector.settings import EventHubSettings
from collector.telemetry import Metrics
from collector.timestamps import NS_PER_S

DOOR = "event-hubs"
_MAX_EVENTS = 200  # of up to 1 MB each
_POLL_MS = 1000
_FETCH_BYTES = 16 * 1024 * 1024
_LONGEST_BACKOFF_S = 60
_STATUS_INTERVAL_NS = 5 * NS_PER_S
_LETTER_CHARACTERS = 256 * 1024
# Azure closes connections idle for 240 s, and asks for timeouts above the client's defaults.
_AZURE_TIMEOUTS = {
    "connections_max_idle_ms": 180_000,
    "metadata_max_age_ms": 180_000,
    "request_timeout_ms": 60_000,
    "session_timeout_ms": 30_000,
}

_log = logging.getLogger(__name__)
_Batch = Mapping[TopicPartition, Sequence[ConsumerRecord]]


class EventHubConsumer:
    """
    Reads every configured hub as one member of a consumer group.

    With a connection string it speaks SASL_SSL as Event Hubs wants it, without one plain Kafka.
    `run` goes on until its event is set and reconnects as long as that takes.

    Raises:
        ConfigError: no topics are named.
    """

    def __init__(
        self,
        settings: EventHubSettings,
        intake: RecordSink,
        clock: Clock,
        metrics: Metrics,
        *,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        if not settings.topics:
            raise ConfigError(
                "HOPLINE_EVENTHUB_BOOTSTRAP is set, but no event hub is named",
                hint="set HOPLINE_EVENTHUB_TOPICS to the hub's name",
            )
        self._settings = settings
        self._intake = intake
        self._clock = clock
        self._metrics = metrics
        self._ssl_context = ssl_context
        self._redactor = build_redactor(settings.redact)
        self._failures = 0
        self._saved_ns = 0
        self._files = {
            topic: WatermarkFile(settings.state_directory, DOOR, topic) for topic in settings.topics
        }
        self._progress = {topic: file.load() for topic, file in self._files.items()}

    async def run(self, stop: asyncio.Event) -> None:
        """Consume until *stop* is set; events under way are journaled and committed first."""
        while not stop.is_set():
            try:
                await self._consume(stop)
            except (KafkaError, OSError) as exc:
                error = self._translate(exc)
                await self._note_failure(error)
                await _pause(stop, min(2**self._failures, _LONGEST_BACKOFF_S))
        await self._save_progress()

    async def _consume(self, stop: asyncio.Event) -> None:
        consumer = self._build_consumer()
        try:
            await consumer.start()
            while not stop.is_set():
                batch: _Batch = await consumer.getmany(timeout_ms=_POLL_MS, max_records=_MAX_EVENTS)
                try:
                    await self._take(batch)
                except JournalError as exc:
                    # Nothing is committed: the same events are fetched again.
                    for partition, events in batch.items():
                        consumer.seek(partition, events[0].offset)
                    await self._note_failure(exc)
                    await _pause(stop, exc.retry_after_s or 1)
                    continue
                await self._commit(consumer, batch)
                await self._note_success()
        finally:
            await consumer.stop()

    def _build_consumer(self) -> AIOKafkaConsumer:
        security: dict[str, Any] = {}
        if self._settings.connection_string:
            security = {
                "security_protocol": "SASL_SSL",
                "sasl_mechanism": "PLAIN",
                "sasl_plain_username": "$ConnectionString",
                "sasl_plain_password": self._settings.connection_string,
                "ssl_context": self._ssl_context or ssl.create_default_context(),
            }
        return AIOKafkaConsumer(
            *self._settings.topics,
            bootstrap_servers=self._settings.bootstrap_servers,
            group_id=self._settings.group,
            client_id="hopline",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_bytes=_FETCH_BYTES,
            **_AZURE_TIMEOUTS,
            **security,
        )

    async def _take(self, batch: _Batch) -> None:
        """Journal the records of a batch; letters are written before anything is committed."""
        for partition, events in batch.items():
            records: list[GatewayRecord] = []
            for event in events:
                records.extend(await self._read(event))
                await asyncio.sleep(0)  # the doors of this process get their turn
            if records:
                source = f"{DOOR}/{partition.topic}"
                await self._intake.accept_records(records, door=DOOR, source=source)
                self._metrics.count(
                    "hopline_pull_records_accepted_total", len(records), source=source
                )
            progress = self._progress[partition.topic]
            progress.rows_accepted += len(records)
            progress.watermark_ns = max(progress.watermark_ns, events[-1].timestamp * 1_000_000)

    async def _read(self, event: ConsumerRecord) -> Sequence[GatewayRecord]:
        if not event.value:
            return ()
        try:
            decoded = decode_event(event.value)
        except (Undecodable, TooLarge) as exc:
            await self._dead_letter(event, [RecordError(0, exc.message, code=exc.code)])
            return ()
        count_ignored(decoded, self._metrics, DOOR)
        if decoded.rejected:
            await self._dead_letter(event, decoded.rejected)
        for record in decoded.records:
            # the hub knows when the policy wrote it
            give_time_of_arrival(record, event.timestamp * 1_000_000)
        return decoded.records

    async def _dead_letter(self, event: ConsumerRecord, errors: Sequence[RecordError]) -> None:
        """Keep what could not be read, without its secrets; doing it twice leaves one letter."""
        for error in errors:
            self._metrics.count(
                "hopline_intake_records_rejected_total", door=DOOR, reason=error.code
            )
        self._progress[event.topic].rows_rejected += len(errors)
        text = event.value.decode(errors="replace")[:_LETTER_CHARACTERS]
        letter = {
            "topic": event.topic,
            "partition": event.partition,
            "offset": event.offset,
            "enqueued_ns": event.timestamp * 1_000_000,
            "errors": [{"index": e.index, "field": e.field, "reason": e.reason} for e in errors],
            "body": self._redactor.redact_text(text) if self._redactor else text,
        }
        name = f"{event.topic}-{event.partition}-{event.offset}.json"
        try:
            await asyncio.to_thread(
                _write_letter, self._settings.dead_letter_directory, name, letter
            )
        except OSError as exc:
            raise JournalError(f"cannot write the dead letter: {exc}", retry_after_s=5) from exc
        _log.warning("%s: event %s is a dead letter: %s", DOOR, name, errors[0].reason)

    async def _commit(self, consumer: AIOKafkaConsumer, batch: _Batch) -> None:
        if not batch:
            return
        try:
            await consumer.commit(
                {partition: events[-1].offset + 1 for partition, events in batch.items()}
            )
        except CommitFailedError:
            # The partitions went to another member, who reads the events again.
            _log.info("%s: the consumer group was rebalanced before a commit", DOOR)

    async def _note_success(self) -> None:
        self._failures = 0
        now_ns = self._clock.now_ns()
        for progress in self._progress.values():
            progress.succeed(now_ns)
        if now_ns - self._saved_ns >= _STATUS_INTERVAL_NS:
            await self._save_progress()

    async def _note_failure(self, error: CollectorError) -> None:
        self._failures += 1
        for topic, progress in self._progress.items():
            progress.fail(error, self._clock.now_ns())
            self._metrics.count(
                "hopline_pull_failures_total", source=f"{DOOR}/{topic}", reason=error.code
            )
        _log.warning("%s: %s%s", DOOR, error.message, f" ({error.hint})" if error.hint else "")
        await self._save_progress()

    async def _save_progress(self) -> None:
        self._saved_ns = self._clock.now_ns()
        for topic, progress in self._progress.items():
            self._report_lag(topic, progress)
            with contextlib.suppress(OSError):
                await asyncio.to_thread(self._files[topic].save, progress)

    def _report_lag(self, topic: str, progress: Progress) -> None:
        if progress.watermark_ns:
            lag_s = (self._clock.now_ns() - progress.watermark_ns) / NS_PER_S
            self._metrics.gauge("hopline_pull_lag_seconds", lag_s, source=f"{DOOR}/{topic}")

    def _translate(self, exc: Exception) -> PullError:
        message = f"{self._settings.bootstrap_servers}: {exc}"
        denials = (
            AuthenticationFailedError,
            TopicAuthorizationFailedError,
            GroupAuthorizationFailedError,
        )
        if isinstance(exc, denials):
            hint = "HOPLINE_EVENTHUB_CONNECTION_STRING needs a policy with the Listen claim"
            return SourceDenied(message, hint=hint)
        hint = "HOPLINE_EVENTHUB_BOOTSTRAP is <namespace>.servicebus.windows.net:9093"
        return SourceUnavailable(message, hint=hint)


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)


def _write_letter(directory: Path, name: str, letter: Mapping[str, Any]) -> None:
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = directory / f"{name}.tmp"
    temporary.write_bytes(orjson.dumps(letter, option=orjson.OPT_INDENT_2))
    temporary.replace(directory / name)
