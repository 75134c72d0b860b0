"""
Hopline's own traces, metrics and logs, sent to any OTLP endpoint. Off unless one is set.

One span a question that the API answers, one log record a line of the log and a read (the audit
log), and all metrics of the process. What comes in and what is loaded makes no span and no line,
so that Hopline can be its own endpoint: what it sends there causes nothing more to send.
"""

import contextlib
import logging
import os
import threading
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

from collector import __version__
from collector.settings import TelemetrySettings
from collector.telemetry import Metrics

# what these say is about sending itself: it would cause the next sending
_SILENT = ("opentelemetry", "urllib3", "requests")
_FIELDS = ("who", "method", "path", "query", "status")
_FLUSH_MS = 5_000
_AUDIT = "collector.audit"


@contextlib.contextmanager
def export_telemetry(settings: TelemetrySettings, role: str, metrics: Metrics) -> Iterator[None]:
    """Send what this process tells of itself until the block is left; nothing when it is off."""
    if not settings.endpoint:
        yield
        return
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    resource = Resource.create(
        {
            "service.name": "hopline",
            "service.version": __version__,
            "service.instance.id": f"{role}-{os.getpid()}",
            "hopline.role": role,
        }
    )
    headers = dict(settings.headers)
    where = partial("{}/v1/{}".format, settings.endpoint.rstrip("/"))
    spans = TracerProvider(resource=resource, shutdown_on_exit=False)
    exporter = OTLPSpanExporter(endpoint=where("traces"), headers=headers)
    spans.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(spans)
    reader = PeriodicExportingMetricReader(
        OTLPMetricExporter(endpoint=where("metrics"), headers=headers),
        export_interval_millis=settings.interval_s * 1000,
    )
    meters = MeterProvider([reader], resource=resource, shutdown_on_exit=False)
    _Instruments(metrics, meters.get_meter("hopline")).keep_up()
    logs = LoggerProvider(resource=resource, shutdown_on_exit=False)
    logs.add_log_record_processor(
        BatchLogRecordProcessor(OTLPLogExporter(endpoint=where("logs"), headers=headers))
    )
    handler = _LogHandler(logs.get_logger("hopline"))
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
        meters.shutdown(_FLUSH_MS)
        spans.shutdown()
        logs.shutdown()


class _LogHandler(logging.Handler):
    """Turns records of `logging` into OTLP's."""

    def __init__(self, logger: Any) -> None:
        super().__init__()
        self._logger = logger

    def emit(self, record: logging.LogRecord) -> None:
        """Hand one record on. One that tells of sending is left out."""
        from opentelemetry._logs import LogRecord, SeverityNumber

        if record.name.startswith(_SILENT):
            return
        severities = {10: 5, 20: 9, 30: 13, 40: 17, 50: 21}
        number = severities.get(record.levelno // 10 * 10, 9)
        attributes = {"logger": record.name} | {
            name: record.__dict__[name] for name in _FIELDS if name in record.__dict__
        }
        self._logger.emit(
            LogRecord(
                timestamp=int(record.created * 1e9),
                severity_text=record.levelname,
                severity_number=SeverityNumber(number),
                body=record.getMessage(),
                attributes=attributes,
                event_name="hopline.read" if record.name == _AUDIT else None,
            )
        )


class _Instruments:
    """One observable instrument a metric. Metrics are made when first counted, so looked for."""

    _LOOK_EVERY_S = 5.0

    def __init__(self, metrics: Metrics, meter: Any) -> None:
        self._metrics = metrics
        self._meter = meter
        self._known: set[str] = set()

    def keep_up(self) -> None:
        """Add what is new now, and again every few seconds."""
        for family in self._metrics.families():
            if family.name not in self._known:
                self._known.add(family.name)
                self._add(family.name, family.type, family.documentation)
        timer = threading.Timer(self._LOOK_EVERY_S, self.keep_up)
        timer.daemon = True
        timer.start()

    def _add(self, name: str, kind: str, meaning: str) -> None:
        make = (
            self._meter.create_observable_gauge
            if kind == "gauge"
            else self._meter.create_observable_counter
        )
        endings = {"counter": ("_total",), "histogram": ("_count", "_sum")}.get(kind, ("",))
        for ending in endings:
            make(name + ending, [partial(self._observe, name + ending)], description=meaning)

    def _observe(self, name: str, _: object) -> Iterable[Any]:
        from opentelemetry.metrics import Observation

        for family in self._metrics.families():
            for sample in family.samples:
                if sample.name == name:
                    yield Observation(sample.value, dict(sample.labels))
