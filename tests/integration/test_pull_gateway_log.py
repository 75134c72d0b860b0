"""The self-hosted gateway's JSON logs over real UDP."""

import asyncio
import json
import socket
from collections.abc import Callable
from typing import Any, Final

import pytest

from collector.errors import ConfigError
from collector.pull.gateway_log import DOOR, GatewayLogDoor, open_gateway_log
from collector.settings import GatewayLogSettings
from collector.telemetry import Metrics
from tests.doubles.record_sink import RecordSinkDouble

LOCAL = GatewayLogSettings(bind="127.0.0.1", port=0, are_tokens_asked=True)


def _entry(number: int, **changes: Any) -> bytes:
    entry = {
        "timestamp": "2031-03-05T08:22:00.125Z",
        "category": "GatewayLogs",
        "correlationId": f"request-{number}",
        "durationMs": 18,
        "responseCode": 200,
        "location": "quay-7",
    }
    return json.dumps(entry | changes).encode()


def _send(port: int, *datagrams: bytes) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for datagram in datagrams:
            sender.sendto(datagram, ("127.0.0.1", port))


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


async def test_datagrams_become_records() -> None:
    """Each log entry is one record of the gateway at its location."""
    sink = RecordSinkDouble()
    async with open_gateway_log(LOCAL, sink, Metrics()) as port:
        _send(port, _entry(1), _entry(2))
        await _until(lambda: len(sink.records) == 2)
    assert sink.record_ids == ["request-1", "request-2"]
    assert {record.source for record in sink.records} == {"self-hosted-gateway"}
    assert {record.region for record in sink.records} == {"quay-7"}


async def test_bad_datagram_costs_only_itself() -> None:
    """Text, a cut-off entry and a wrong type are counted; the entry behind them is stored."""
    sink, metrics = RecordSinkDouble(), Metrics()
    async with open_gateway_log(LOCAL, sink, metrics) as port:
        _send(port, b"hello", _entry(1)[:30], _entry(2, durationMs="?"), b"", _entry(3))
        await _until(lambda: len(sink.records) == 1)
    assert sink.record_ids == ["request-3"]
    assert metrics.value("hopline_intake_records_rejected_total", door=DOOR) == 4


async def test_what_is_queued_is_stored_when_the_door_closes() -> None:
    """A journal that refuses at first loses nothing, also when closing has begun."""
    sink = RecordSinkDouble()
    sink.refusals = 1
    sink.retry_after_s = 1
    async with open_gateway_log(LOCAL, sink, Metrics()) as port:
        _send(port, _entry(1), _entry(2))
        await _until(lambda: sink.refusals == 0)
    assert sink.record_ids == ["request-1", "request-2"]


async def test_full_queue_drops_and_counts() -> None:
    """What does not fit is lost, as UDP allows, and is not lost silently."""
    metrics = Metrics()
    door = GatewayLogDoor(RecordSinkDouble(), metrics)
    for number in range(5_003):
        door.datagram_received(_entry(number), ("127.0.0.1", 1))
    dropped = metrics.value("hopline_receive_datagrams_dropped_total", reason="queue_full")
    assert dropped == 3


async def test_every_datagram_of_a_flood_is_kept_or_counted() -> None:
    """What the queue and the system's buffer cannot hold is counted: nothing vanishes unseen."""
    sink, metrics = RecordSinkDouble(), Metrics()
    async with open_gateway_log(LOCAL, sink, metrics) as port:
        _send(port, *(_entry(number) for number in range(20_000)))
        name: Final = "hopline_receive_datagrams_dropped_total"
        await _until(lambda: len(sink.records) + metrics.value(name) == 20_000)
        assert metrics.value(name, reason="socket_buffer_full") > 0


async def test_tokens_and_an_open_address_exclude_each_other() -> None:
    """UDP carries no token: the door stays closed to the outside when tokens are asked for."""
    open_to_all = GatewayLogSettings(bind="0.0.0.0", port=0, are_tokens_asked=True)
    with pytest.raises(ConfigError):
        async with open_gateway_log(open_to_all, RecordSinkDouble(), Metrics()):
            pass


async def test_taken_port_is_a_configuration_error() -> None:
    """The message names the setting to change."""
    async with open_gateway_log(LOCAL, RecordSinkDouble(), Metrics()) as port:
        taken = GatewayLogSettings(bind="127.0.0.1", port=port, are_tokens_asked=False)
        with pytest.raises(ConfigError) as caught:
            async with open_gateway_log(taken, RecordSinkDouble(), Metrics()):
                pass
    assert "HOPLINE_GATEWAY_LOG_UDP_PORT" in caught.value.hint
