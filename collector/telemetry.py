"""
Hopline's own metrics: named here once, counted anywhere, shown as Prometheus text.

A process-wide registry of counters, gauges and histograms. Label values come from closed sets or
are cut at `MAX_SERIES` per metric, so that hostile input cannot grow it.
"""

import asyncio
import socket
import struct
import threading
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from typing import Literal, get_args

MAX_SERIES = 500
_SYSTEM_DROPS_EVERY_S = 1.0
_SO_MEMINFO = 55
_MEMINFO = struct.Struct("9I")
OVERFLOW = "__overflow__"
_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

Counter = Literal[
    # records that are durable, by door and stream
    "hopline_intake_records_accepted_total",
    # records refused inside an accepted envelope, by door and reason
    "hopline_intake_records_rejected_total",
    # entries passed over because they are no request of an API, by door and reason
    "hopline_intake_records_ignored_total",
    # whole envelopes refused, by door and reason
    "hopline_intake_envelopes_refused_total",
    # envelopes recognised as an identical resend and not stored again, by door
    "hopline_intake_envelopes_resent_total",
    # values masked, by what matched
    "hopline_intake_values_redacted_total",
    # attribute strings repaired because they were not UTF-8, by door
    "hopline_intake_strings_repaired_total",
    # UDP datagrams lost before they could be accepted (UDP is not acknowledged), by door and reason
    "hopline_receive_datagrams_dropped_total",
    # bytes of canonical messages made durable, by stream
    "hopline_journal_bytes_total",
    # fdatasync calls; each may acknowledge many requests
    "hopline_journal_syncs_total",
    # bytes cut from the end of a segment that a crash left torn
    "hopline_journal_torn_bytes_total",
    # segments loaded, by stream
    "hopline_store_segments_loaded_total",
    # messages the store refuses for good, by stream
    "hopline_store_messages_dead_letter_total",
    # loads that failed and are tried again, by reason
    "hopline_store_load_retries_total",
    # parts that the engine wrote and that were not whole (a full disk); their rows are loaded again
    "hopline_store_parts_broken_total",
    # segments that were let go and are loaded again, because parts with their rows were lost
    "hopline_store_segments_reloaded_total",
    # records pulled, by source
    "hopline_pull_records_accepted_total",
    # pulls that failed, by source and reason
    "hopline_pull_failures_total",
    # answers of the query API, by route and status
    "hopline_api_requests_total",
    # gateway records joined, by api and tier (tier "none": no span found)
    "hopline_stitch_join_total",
]
Gauge = Literal[
    # bytes in the journal that are not loaded yet
    "hopline_journal_pending_bytes",
    # bytes free on the disk of the data folder; below HOPLINE_MIN_FREE_BYTES requests are refused
    "hopline_journal_disk_free_bytes",
    # seconds between now and the watermark of a polled source
    "hopline_pull_lag_seconds",
    # bytes of requests being handled
    "hopline_receive_inflight_bytes",
]
Histogram = Literal[
    # from the last byte of a request to its acknowledgement, by door
    "hopline_intake_acknowledge_seconds",
    # time of one segment load, by stream
    "hopline_store_load_seconds",
    # time of one REST answer, by route
    "hopline_api_request_seconds",
]

_Labels = tuple[tuple[str, str], ...]


class Metrics:
    """A registry. Thread-safe; cheap enough for once per request, never called per span."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: dict[str, dict[_Labels, float]] = {}
        self._histograms: dict[str, dict[_Labels, list[float]]] = {}

    def count(self, name: Counter, value: float = 1, **labels: str) -> None:
        with self._lock:
            series = self._values.setdefault(name, {})
            key = self._key(series, labels)
            series[key] = series.get(key, 0) + value

    def gauge(self, name: Gauge, value: float, **labels: str) -> None:
        with self._lock:
            series = self._values.setdefault(name, {})
            series[self._key(series, labels)] = value

    def observe(self, name: Histogram, seconds: float, **labels: str) -> None:
        with self._lock:
            series = self._histograms.setdefault(name, {})
            cells = series.setdefault(self._key(series, labels), [0.0] * (len(_BUCKETS_S) + 2))
            cells[bisect_left(_BUCKETS_S, seconds)] += 1
            cells[-1] += seconds

    def value(self, name: Counter | Gauge, **labels: str) -> float:
        """Return one series' value, or the sum of all that carry the given labels."""
        wanted = set(labels.items())
        with self._lock:
            series = self._values.get(name, {})
            return sum(v for key, v in series.items() if wanted <= set(key))

    def snapshot(self) -> dict[str, list[tuple[dict[str, str], float]]]:
        """Return counters and gauges as plain data."""
        with self._lock:
            return {
                name: [(dict(key), value) for key, value in series.items()]
                for name, series in self._values.items()
            }

    def prometheus_text(self) -> str:
        with self._lock:
            return "".join(line + "\n" for line in self._lines())

    def _lines(self) -> Iterator[str]:
        counters = set(get_args(Counter))
        for name in sorted(self._values):
            yield f"# TYPE {name} {'counter' if name in counters else 'gauge'}"
            for key, value in sorted(self._values[name].items()):
                yield f"{name}{_braces(key)} {value:g}"
        for name in sorted(self._histograms):
            yield f"# TYPE {name} histogram"
            for key, cells in sorted(self._histograms[name].items()):
                total = 0.0
                for bound, count in zip((*_BUCKETS_S, "+Inf"), cells[:-1], strict=True):
                    total += count
                    yield f"{name}_bucket{_braces((*key, ('le', str(bound))))} {total:g}"
                yield f"{name}_sum{_braces(key)} {cells[-1]:g}"
                yield f"{name}_count{_braces(key)} {total:g}"

    @staticmethod
    def _key(series: Mapping[_Labels, object], labels: dict[str, str]) -> _Labels:
        key = tuple(sorted(labels.items()))
        if key in series or len(series) < MAX_SERIES:
            return key
        return tuple((name, OVERFLOW) for name, _ in key)


class SystemDrops:
    """Counts the datagrams that did not fit the buffer of a door's socket (Linux tells)."""

    def __init__(self, bound: socket.socket, metrics: Metrics, door: str) -> None:
        self._bound = bound
        self._metrics = metrics
        self._door = door
        self._counted = 0

    async def watch(self) -> None:
        """Count each second, until cancelled."""
        while True:
            await asyncio.sleep(_SYSTEM_DROPS_EVERY_S)
            self.count()

    def count(self) -> None:
        """Count what the system dropped since the last call."""
        try:
            info = self._bound.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size)
            total = _MEMINFO.unpack(info)[8]
        except (OSError, struct.error):
            return
        if new := total - self._counted:
            name: Counter = "hopline_receive_datagrams_dropped_total"
            self._metrics.count(name, new, door=self._door, reason="socket_buffer_full")
            self._counted = total


def _braces(key: _Labels) -> str:
    if not key:
        return ""
    escaped = (
        (name, value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n"))
        for name, value in key
    )
    return "{" + ",".join(f'{name}="{value}"' for name, value in escaped) + "}"


METRICS = Metrics()
