"""
Hopline's own metrics: named here once, counted anywhere, shown as `exposition` writes them.

A process has one registry. Label values come from closed sets or are cut at `MAX_SERIES` per
metric, so that hostile input cannot grow it. Processes that share a data folder tell each other
their metrics through files in it, so each of their `/metrics` shows all of them, told apart by the
label `process`.
"""

import json
import logging
import threading
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from operator import attrgetter
from pathlib import Path
from time import time
from typing import Any, Literal

import prometheus_client
from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.metrics_core import Metric
from prometheus_client.samples import Exemplar, NativeHistogram, Sample

from collector.exposition import NativeBuckets, expose
from collector.settings import DEFAULT_TENANT

MAX_SERIES = 500
OVERFLOW = "__overflow__"
_PUBLISH_EVERY_S = 2.0
# Longer ago than this a file is of a process that is gone, or of another machine that is.
_MAX_AGE_S = 60.0
_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_log = logging.getLogger(__name__)

Counter = Literal[
    "hopline_intake_records_accepted_total",
    "hopline_intake_records_rejected_total",
    "hopline_intake_records_ignored_total",
    "hopline_intake_records_without_id_total",
    "hopline_intake_envelopes_refused_total",
    "hopline_intake_envelopes_resent_total",
    "hopline_intake_values_redacted_total",
    "hopline_intake_strings_repaired_total",
    "hopline_receive_datagrams_dropped_total",
    "hopline_journal_bytes_total",
    "hopline_journal_syncs_total",
    "hopline_journal_torn_bytes_total",
    "hopline_store_segments_loaded_total",
    "hopline_store_messages_dead_letter_total",
    "hopline_store_load_retries_total",
    "hopline_store_parts_broken_total",
    "hopline_store_segments_reloaded_total",
    "hopline_pull_records_accepted_total",
    "hopline_pull_failures_total",
    "hopline_api_requests_total",
    "hopline_stitch_join_total",
    "hopline_request_total",
    "hopline_request_errors_total",
    "hopline_request_unstitched_total",
    "hopline_traces_kept_total",
    "hopline_export_spans_sent_total",
    "hopline_export_spans_refused_total",
    "hopline_export_records_skipped_total",
    "hopline_export_failures_total",
]
Gauge = Literal[
    "hopline_journal_pending_bytes",
    "hopline_journal_disk_free_bytes",
    "hopline_pull_lag_seconds",
    "hopline_pull_held",
    "hopline_receive_inflight_bytes",
    "hopline_receive_expected_wait_seconds",
    "hopline_export_lag_seconds",
    "hopline_source_received_timestamp_seconds",
    "hopline_source_lag_seconds",
]
Histogram = Literal[
    "hopline_intake_acknowledge_seconds",
    "hopline_store_load_seconds",
    "hopline_api_request_seconds",
    "hopline_request_seconds",
]
Name = Counter | Gauge | Histogram

MEANINGS: Mapping[Name, str] = {
    "hopline_intake_records_accepted_total": "records that are durable, by door and stream",
    "hopline_intake_records_rejected_total": (
        "records refused inside an accepted envelope, by door and reason"
    ),
    "hopline_intake_records_ignored_total": (
        "entries passed over because they are no request of an API, by door and reason"
    ),
    "hopline_intake_records_without_id_total": (
        "gateway records without an id, kept under a derived one, by door"
    ),
    "hopline_intake_envelopes_refused_total": "whole envelopes refused, by door and reason",
    "hopline_intake_envelopes_resent_total": (
        "envelopes recognised as an identical resend and not stored again, by door"
    ),
    "hopline_intake_values_redacted_total": "values masked, by what matched",
    "hopline_intake_strings_repaired_total": (
        "attribute strings repaired because they were not UTF-8, by door"
    ),
    "hopline_receive_datagrams_dropped_total": (
        "UDP datagrams lost before they could be accepted (UDP is not acknowledged), by "
        "door and reason"
    ),
    "hopline_journal_bytes_total": "bytes of canonical messages made durable, by stream",
    "hopline_journal_syncs_total": "fdatasync calls; each may acknowledge many requests",
    "hopline_journal_torn_bytes_total": (
        "bytes cut from the end of a segment that a crash left torn"
    ),
    "hopline_store_segments_loaded_total": "segments loaded, by stream",
    "hopline_store_messages_dead_letter_total": "messages the store refuses for good, by stream",
    "hopline_store_load_retries_total": "loads that failed and are tried again, by reason",
    "hopline_store_parts_broken_total": (
        "parts that the engine wrote and that were not whole (a full disk); their rows "
        "are loaded again"
    ),
    "hopline_store_segments_reloaded_total": (
        "segments that were let go and are loaded again, because parts with their rows were lost"
    ),
    "hopline_pull_records_accepted_total": "records pulled, by source",
    "hopline_pull_failures_total": "pulls that failed, by source and reason",
    "hopline_api_requests_total": "answers of the query API, by route and status",
    "hopline_stitch_join_total": (
        "gateway records joined, by api and tier (tier `none`: no span found, `gateway`: it never "
        "left it)"
    ),
    "hopline_request_total": (
        "requests stitched in the background, each for as many as it stands for, by gateway, api "
        "and whether spans are joined (`gateway`: answered there)"
    ),
    "hopline_request_errors_total": (
        "those of them that failed, by gateway, api and the layer that failed first"
    ),
    "hopline_request_unstitched_total": (
        "requests left out of background stitching, by reason (`no_room`: too many spans, or gone "
        "by then; `failed`: an error that the log names)"
    ),
    "hopline_traces_kept_total": (
        "traces whose spans and logs were copied to where they are kept for longer"
    ),
    "hopline_export_spans_sent_total": "spans sent to HOPLINE_EXPORT_OTLP_ENDPOINT and taken there",
    "hopline_export_spans_refused_total": "spans that it refused for good, by reason",
    "hopline_export_records_skipped_total": (
        "gateway records that are not exported, by gateway and reason (`no_trace_id`; "
        "`sent_by_gateway`: it sends spans itself; `gone`: over its time to live)"
    ),
    "hopline_export_failures_total": (
        "batches that could not be delivered and are sent again, by status or `connection`"
    ),
    "hopline_journal_pending_bytes": "bytes in the journal that are not loaded yet",
    "hopline_journal_disk_free_bytes": (
        "bytes free on the disk of the data folder; below HOPLINE_MIN_FREE_BYTES requests "
        "are refused"
    ),
    "hopline_pull_lag_seconds": "seconds between now and the watermark of a polled source",
    "hopline_pull_held": (
        "1 where this process has the turn to poll a source, 0 where it waits for it, by source"
    ),
    "hopline_receive_inflight_bytes": "bytes of requests being handled",
    "hopline_receive_expected_wait_seconds": "how long the work takes that waits in line",
    "hopline_export_lag_seconds": (
        "seconds that the export is behind what it may send, HOPLINE_EXPORT_OTLP_WAIT_S left out"
    ),
    "hopline_source_received_timestamp_seconds": (
        "when something of a source came in last, in Unix seconds, by stream and source"
    ),
    "hopline_source_lag_seconds": (
        "seconds from an event to its reception that 99 % of a source's events of the last day "
        "kept, by stream and source"
    ),
    "hopline_intake_acknowledge_seconds": (
        "from the last byte of a request to its acknowledgement, by door"
    ),
    "hopline_store_load_seconds": "time of one segment load, by stream",
    "hopline_api_request_seconds": "time of one REST answer, by route",
    "hopline_request_seconds": (
        "durations of the same requests by gateway, api and phase (`total` for all of it), where "
        "measured"
    ),
}

# when a series began is not worth a second one
prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]  # it is untyped


class Metrics:
    """A registry. Thread-safe; cheap enough for once per request, never called per span."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._registry = CollectorRegistry()
        self._metrics: dict[str, MetricWrapperBase] = {}
        self._series: dict[tuple[Any, ...], Any] = {}
        self._sizes: dict[tuple[str, ...], int] = defaultdict(int)
        self._siblings: _Siblings | None = None
        self._tenants: dict[str, _TenantMetrics] | None = None

    def of_tenant(self, tenant: str) -> "Metrics":
        """
        Return the same registry for what is counted of *tenant*, "" the default one.

        From the first call on all series have the label `tenant`, empty where they are of nobody.
        Call it before anything is counted.
        """
        if self._tenants is None:
            self._tenants = {}
        return self._tenants.setdefault(tenant, _TenantMetrics(self, tenant or DEFAULT_TENANT))

    def count(self, name: Counter, value: float = 1, **labels: str) -> None:
        self._find(prometheus_client.Counter, name, labels).inc(value)

    def gauge(self, name: Gauge, value: float, **labels: str) -> None:
        self._find(prometheus_client.Gauge, name, labels).set(value)

    def forget(self, name: Gauge, **labels: str) -> None:
        """Show a series of a gauge no more, until it is set again; it need not be there."""
        if self._tenants is not None:
            labels = {"tenant": "", **labels}
        with self._lock:
            if self._series.pop((name, *labels.items()), None) is not None:
                self._metrics[name].remove(*(labels[each] for each in sorted(labels)))
                self._sizes[(name, *([labels["tenant"]] if "tenant" in labels else []))] -= 1

    def watch(self, name: Gauge, read: Callable[[], float]) -> None:
        """Show as a gauge what *read* returns whenever the metrics are looked at."""
        self._find(prometheus_client.Gauge, name, {}).set_function(read)

    def observe(
        self, name: Histogram, seconds: float, exemplar: str = "", times: int = 1, **labels: str
    ) -> None:
        """
        Count a duration *times* over; *exemplar* is the trace id of a request that took that long.
        """
        self.observe_all(name, [(seconds, exemplar, times)], **labels)

    def observe_all(
        self, name: Histogram, observed: Iterable[tuple[float, str, int]], **labels: str
    ) -> None:
        """Count many durations, each with its exemplar and how many times over, at one go."""
        self._find(_Histogram, name, labels).count(observed)

    def value(self, name: Counter | Gauge, **labels: str) -> float:
        """Return one series' value, or the sum of all that carry the given labels."""
        metric = self._metrics.get(name)
        samples = [each for family in metric.collect() for each in family.samples] if metric else []
        return sum(each.value for each in samples if labels.items() <= each.labels.items())

    def share(self, directory: Path, process: str) -> None:
        """
        Show this process's metrics in its siblings' answers, and theirs in its own, from now on.

        *process* is its name among those with the same *directory*.
        """
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        self._siblings = _Siblings(directory, process)
        threading.Thread(target=self._publish, name="metrics", daemon=True).start()

    def families(self) -> list[Metric]:
        """Return this process's own metrics with their samples, as they are now."""
        return list(self._registry.collect())

    def exposition(self, accept: str = "") -> tuple[bytes, str]:
        """Return the page of all metrics and its content type, as *accept* asks for it."""
        families = sorted(self._registry.collect(), key=attrgetter("name"))
        if self._siblings is not None:
            families = self._siblings.add_to(families)
        return expose(families, accept)

    def _find(self, kind: Any, name: Name, labels: Mapping[str, str]) -> Any:
        if self._tenants is not None:
            labels = {"tenant": "", **labels}
        key = (name, *labels.items())
        found = self._series.get(key)
        return self._add(kind, name, labels, key) if found is None else found

    def _add(self, kind: Any, name: Name, labels: Mapping[str, str], key: tuple[Any, ...]) -> Any:
        with self._lock:
            metric = self._metrics.get(name)
            if metric is None:
                given: dict[str, Any] = {"labelnames": sorted(labels), "registry": self._registry}
                if kind is _Histogram:
                    given["buckets"] = _BUCKETS_S
                metric = self._metrics[name] = kind(name, MEANINGS[name], **given)
            if not labels:
                return self._series.setdefault(key, metric)
            tenant = {"tenant": labels["tenant"]} if "tenant" in labels else {}
            place = (name, *tenant.values())
            if key not in self._series and self._sizes[place] >= MAX_SERIES:
                return metric.labels(**{**dict.fromkeys(labels, OVERFLOW), **tenant})
            self._sizes[place] += key not in self._series
            return self._series.setdefault(key, metric.labels(**labels))

    def _publish(self) -> None:
        pause, problem = threading.Event(), ""
        while self._siblings is not None:
            try:
                self._siblings.publish(self._registry.collect())
            except OSError as exc:
                if problem != str(exc):
                    _log.warning("cannot share this process's metrics with the others: %s", exc)
                problem = str(exc)
            pause.wait(_PUBLISH_EVERY_S)


class _Histogram(prometheus_client.Histogram):
    """Classic buckets and, of the same observations, those of a native histogram."""

    def count(self, observed: Iterable[tuple[float, str, int]]) -> None:
        # the client counts one at a time, and a request may stand for thousands
        total, counts, exemplars = 0.0, defaultdict[int, int](int), dict[int, tuple[float, str]]()
        with self._whole:
            for seconds, exemplar, times in observed:
                self._native.add(seconds, times)
                bucket = bisect_left(self._upper_bounds, seconds)
                total += seconds * times
                counts[bucket] += times
                if exemplar:
                    exemplars[bucket] = (seconds, exemplar)
            self._sum.inc(total)
            for bucket, times in counts.items():
                self._buckets[bucket].inc(times)
            for bucket, (seconds, exemplar) in exemplars.items():
                found = Exemplar({"trace_id": exemplar}, seconds, time())
                self._buckets[bucket].set_exemplar(found)

    def _metric_init(self) -> None:
        super()._metric_init()
        self._native = NativeBuckets()
        # Prometheus refuses a histogram whose buckets do not add up to its count
        self._whole = threading.Lock()

    def _child_samples(self) -> Iterable[Sample]:
        with self._whole:
            classic = tuple(super()._child_samples())
            native = self._native.as_histogram(self._sum.get())
        return (*classic, Sample("", {}, native.count_value, None, None, native))


class _TenantMetrics(Metrics):
    """What is counted of one tenant, in the registry of all."""

    def __init__(self, all_: Metrics, tenant: str) -> None:
        self._all = all_
        self._labels = {"tenant": tenant}

    def of_tenant(self, tenant: str) -> Metrics:
        return self._all.of_tenant(tenant)

    def value(self, name: Counter | Gauge, **labels: str) -> float:
        return self._all.value(name, **self._labels, **labels)

    def forget(self, name: Gauge, **labels: str) -> None:
        self._all.forget(name, **self._labels, **labels)

    def exposition(self, accept: str = "") -> tuple[bytes, str]:
        return self._all.exposition(accept)

    def families(self) -> list[Metric]:
        return self._all.families()

    def _find(self, kind: Any, name: Name, labels: Mapping[str, str]) -> Any:
        return self._all._find(kind, name, {**self._labels, **labels})


class _Siblings:
    """The metrics of the processes that share a folder, each in a file of its own."""

    def __init__(self, directory: Path, process: str) -> None:
        self._directory = directory
        self._path = directory / f"{process}.json"
        self._process = process
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)

    def publish(self, own: Iterable[Metric]) -> None:
        """Write this process's metrics for the others."""
        rows = [(each.name, each.type, each.documentation, each.samples) for each in own]
        beside = self._path.with_suffix(".new")
        beside.write_text(json.dumps(rows))
        beside.replace(self._path)

    def add_to(self, own: Iterable[Metric]) -> list[Metric]:
        """Return *own* metrics and those of the others, by name, each sample with its process."""
        others = [path for path in sorted(self._directory.glob("*.json")) if path != self._path]
        merged: dict[str, Metric] = {}
        for process, families in (
            (self._process, own),
            *((path.stem, self._read(path)) for path in others),
        ):
            for each in families:
                like = Metric(each.name, each.documentation, each.type)
                into = merged.setdefault(each.name, like)
                into.samples += [
                    sample._replace(labels={"process": process, **sample.labels})
                    for sample in each.samples
                ]
        return [merged[name] for name in sorted(merged)]

    def _read(self, path: Path) -> Iterator[Metric]:
        try:
            if time() - path.stat().st_mtime > _MAX_AGE_S:
                return
            rows = json.loads(path.read_text())
        except (OSError, ValueError):
            return
        for name, kind, meaning, samples in rows:
            metric = Metric(name, meaning, kind)
            for sample_name, labels, value, _, exemplar, native in samples:
                known = Exemplar(*exemplar) if exemplar else None
                counted = NativeHistogram(*native) if native else None
                metric.add_sample(sample_name, labels, value, None, known, counted)
            yield metric


METRICS = Metrics()
"""The metrics of this process."""
