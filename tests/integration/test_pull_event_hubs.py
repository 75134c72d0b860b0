"""
The Event Hubs consumer against a real Kafka broker.

Needs Java and Maven (which fetches Kafka once); without them these tests say so and are skipped.
"""

import asyncio
import json
import logging
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from collector.clock import SystemClock
from collector.errors import ConfigError
from collector.model import Receipt
from collector.pull.event_hubs import EventHubConsumer
from collector.settings import EventHubSettings
from collector.telemetry import Metrics
from tests.doubles.java_jars import JarsUnavailableError
from tests.doubles.kafka_broker import (
    CONNECTION_STRING,
    KafkaBroker,
    obtain_kafka,
)
from tests.doubles.record_sink import RecordSinkDouble

_LIMIT_S = 40


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaBroker]:
    try:
        jars = obtain_kafka()
    except JarsUnavailableError as exc:
        pytest.skip(f"no Kafka broker: {exc}")
    broker = KafkaBroker(jars, tmp_path_factory.mktemp("kafka"))
    broker.start()
    yield broker
    broker.stop()


class Hub:
    """One event hub of its own for a test, with two partitions."""

    def __init__(self, broker: KafkaBroker, folder: Path) -> None:
        self.broker = broker
        self.topic = f"hub-{uuid.uuid4().hex[:8]}"
        self.sink = RecordSinkDouble()
        self.metrics = Metrics()
        self.settings = EventHubSettings(
            bootstrap_servers=broker.plain,
            connection_string="",
            topics=(self.topic,),
            group=f"group-{self.topic}",
            state_directory=folder / "pull",
            dead_letter_directory=folder / "dead-letter",
        )

    async def create(self) -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.broker.plain)
        await admin.start()
        await admin.create_topics([NewTopic(self.topic, num_partitions=2, replication_factor=1)])
        await admin.close()

    async def send(self, *events: bytes) -> None:
        producer = AIOKafkaProducer(bootstrap_servers=self.broker.plain)
        await producer.start()
        for number, event in enumerate(events):
            await producer.send_and_wait(self.topic, event, partition=number % 2)
        await producer.stop()

    async def committed(self) -> int:
        """Return how many events the group has done with, over all partitions."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.broker.plain)
        await admin.start()
        offsets = await admin.list_consumer_group_offsets(self.settings.group)
        await admin.close()
        partitions = [TopicPartition(self.topic, number) for number in range(2)]
        return sum(offsets[each].offset for each in partitions if each in offsets)

    def state(self) -> dict[str, Any]:
        path = self.settings.state_directory / f"event-hubs-{self.topic}.json"
        state: dict[str, Any] = json.loads(path.read_bytes()) if path.exists() else {}
        return state

    @asynccontextmanager
    async def consuming(self, **options: Any) -> AsyncIterator[None]:
        consumer = EventHubConsumer(
            self.settings, self.sink, SystemClock(), self.metrics, **options
        )
        stop = asyncio.Event()
        task = asyncio.create_task(consumer.run(stop))
        try:
            yield
        finally:
            stop.set()
            await asyncio.wait_for(task, _LIMIT_S)


@pytest.fixture
async def hub(broker: KafkaBroker, tmp_path: Path) -> Hub:
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    hub = Hub(broker, tmp_path)
    await hub.create()
    return hub


def _event(*numbers: int, **changes: Any) -> bytes:
    records = [
        {
            "time": "2031-03-05T08:16:00.5Z",
            "category": "GatewayLogs",
            "correlationId": f"request-{number}",
            "durationMs": 12,
            "properties": {"method": "GET", "responseCode": 200, "clientTime": 1},
        }
        | changes
        for number in numbers
    ]
    return json.dumps({"records": records}).encode()


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(_LIMIT_S):
        while not condition():
            await asyncio.sleep(0.02)


async def test_events_become_records_and_are_committed(hub: Hub) -> None:
    """Every record of every event arrives once, and the group's offset is behind them."""
    await hub.send(_event(1, 2), _event(3), b"")
    async with hub.consuming():
        await _until(lambda: len(hub.sink.records) == 3)
    assert sorted(hub.sink.record_ids) == ["request-1", "request-2", "request-3"]
    assert await hub.committed() == 3
    assert {source for _, source, _ in hub.sink.calls} == {f"event-hubs/{hub.topic}"}
    state = hub.state()
    assert (state["rows_accepted"], state["last_error"]) == (3, None)
    assert state["watermark_ns"] > 0


async def test_restart_goes_on_behind_the_commit(hub: Hub) -> None:
    """What was committed is not read again by the next consumer of the group."""
    await hub.send(_event(1))
    async with hub.consuming():
        await _until(lambda: len(hub.sink.records) == 1)
    await hub.send(_event(2))
    async with hub.consuming():
        await _until(lambda: len(hub.sink.records) == 2)
    assert hub.sink.record_ids == ["request-1", "request-2"]
    assert hub.state()["rows_accepted"] == 2


async def test_nothing_is_committed_before_the_journal_has_it(hub: Hub) -> None:
    """While the journal refuses the offset stays, also over a restart; then all is read."""
    await hub.send(_event(1), _event(2))
    hub.sink.refusals, hub.sink.retry_after_s = 1_000_000, 1
    async with hub.consuming():
        await _until(lambda: hub.state().get("last_error") is not None)
    assert await hub.committed() <= 0
    assert hub.state()["last_error"]["code"] == "journal"
    hub.sink.refusals = 0
    async with hub.consuming():
        await _until(lambda: len(hub.sink.records) == 2)
    assert await hub.committed() == 2


async def test_events_under_way_in_a_crash_are_read_again(hub: Hub) -> None:
    """A consumer that dies while the journal works has committed nothing."""
    await hub.send(_event(1), _event(2))
    waiting = asyncio.Event()
    accept_records = hub.sink.accept_records

    async def never(records: Any, *, door: str, source: str) -> Receipt:
        waiting.set()
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    hub.sink.accept_records = never  # type: ignore[method-assign]  # a journal that hangs
    consumer = EventHubConsumer(hub.settings, hub.sink, SystemClock(), hub.metrics)
    task = asyncio.create_task(consumer.run(asyncio.Event()))
    await asyncio.wait_for(waiting.wait(), _LIMIT_S)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert await hub.committed() <= 0
    hub.sink.accept_records = accept_records  # type: ignore[method-assign]  # the journal is back
    async with hub.consuming():
        await _until(lambda: len(hub.sink.records) == 2)


async def test_refused_events_are_fetched_again_without_a_restart(hub: Hub) -> None:
    """A journal that refuses once costs a moment, not an event."""
    await hub.send(_event(1), _event(2), _event(3))
    hub.sink.refusals, hub.sink.retry_after_s = 1, 1
    async with hub.consuming():
        await _until(lambda: len(set(hub.sink.record_ids)) == 3)
    assert await hub.committed() == 3


async def test_poison_event_goes_to_the_dead_letter_without_its_secrets(hub: Hub) -> None:
    """What cannot be read is kept with its place and reason, masked; the rest goes on."""
    poison = b"POST /x HTTP/1.1\nAuthorization: Bearer abcdefghijklmnop123456\n"
    await hub.send(poison, _event(1), _event(2), _event(3, durationMs="slow"))
    async with hub.consuming():
        await _until(lambda: len(hub.sink.records) == 2)
        await _until(lambda: len(list(hub.settings.dead_letter_directory.glob("*.json"))) == 2)
    assert await hub.committed() == 4
    letters = [
        json.loads(path.read_bytes()) for path in hub.settings.dead_letter_directory.glob("*.json")
    ]
    texts = [letter["body"] for letter in letters]
    assert any("POST /x" in text for text in texts)
    assert not any("abcdefghijklmnop" in text for text in texts)
    assert "durationMs" in {letter["errors"][0]["field"] for letter in letters}
    assert all(letter["topic"] == hub.topic for letter in letters)
    assert hub.state()["rows_rejected"] == 2


async def test_hub_with_logs_of_several_resources(hub: Hub) -> None:
    """Each record is read by the adapter of its kind, whatever else is in the same event."""
    records = json.loads(_event(1))["records"]
    records.append(
        {
            "Type": "AppRequests",
            "time": "2031-03-05T08:16:00.5Z",
            "Id": "ab" * 8,
            "OperationId": "cd" * 16,
            "Properties": {"Service Type": "API Management", "Request Id": "request-2"},
        }
    )
    await hub.send(json.dumps({"records": records}).encode())
    async with hub.consuming():
        await _until(lambda: len(hub.sink.records) == 2)
    assert {record.source for record in hub.sink.records} == {
        "diagnostic-envelope",
        "app-requests",
    }


async def test_event_hubs_security_is_spoken(hub: Hub) -> None:
    """SASL_SSL, PLAIN, user $ConnectionString, and the connection string as password."""
    await hub.send(_event(1))
    hub.settings = replace(
        hub.settings,
        bootstrap_servers=hub.broker.sasl,
        connection_string=CONNECTION_STRING,
    )
    async with hub.consuming(ssl_context=hub.broker.trust()):
        await _until(lambda: len(hub.sink.records) == 1)
    assert await hub.committed() == 1


async def test_wrong_connection_string_is_visible(hub: Hub) -> None:
    """A key that is refused shows in the status, and the consumer keeps trying."""
    hub.settings = replace(
        hub.settings, bootstrap_servers=hub.broker.sasl, connection_string="Endpoint=sb://wrong"
    )
    async with hub.consuming(ssl_context=hub.broker.trust()):
        await _until(lambda: hub.state().get("last_error") is not None)
    error = hub.state()["last_error"]
    assert error["code"] in ("source_denied", "source_unavailable")
    assert "HOPLINE_EVENTHUB" in error["hint"]
    assert "wrong" not in json.dumps(hub.state())


def test_consumer_without_topics_is_a_configuration_error(tmp_path: Path) -> None:
    """A server without a hub to read is said at the start, not by silence."""
    settings = EventHubSettings("quay:9093", "", (), "g", tmp_path, tmp_path)
    with pytest.raises(ConfigError):
        EventHubConsumer(settings, RecordSinkDouble(), SystemClock(), Metrics())
