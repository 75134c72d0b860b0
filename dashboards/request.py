"""One request: its trace, where its time went, what the gateway wrote down, and the logs."""

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.builders import logs
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models import dashboard

from dashboards import parts
from dashboards.parts import CLICKHOUSE, IN_RANGE, MS, field, rows, sql, to_page, to_trace

_JAEGER = dashboard.DataSourceRef("jaeger", "${jaeger}")
_ASKED = "${request:singlequote}"
_THIS = f"{IN_RANGE} AND (request_id = {_ASKED} OR trace_id = {_ASKED})"
_RECORD_IN_RANGE = "bucket >= $__fromTime - INTERVAL 5 MINUTE AND bucket <= $__toTime"
# From the logs' clock, which may be another one than the request's.
_LOG_IN_RANGE = (
    "toStartOfFiveMinutes(Timestamp) >= $__fromTime - INTERVAL 5 MINUTE"
    " AND toStartOfFiveMinutes(Timestamp) <= $__toTime"
)
_GAUGE = {"type": "gauge", "mode": "basic"}


class _TraceQuery(Dataquery):
    """One trace of Jaeger's data source: Hopline takes any id of the request there."""

    ref_id = "A"

    def to_json(self) -> dict[str, object]:
        return {"datasource": _JAEGER, "query": "${request:raw}", "refId": self.ref_id}


class _Trace(Builder[Dataquery]):
    def build(self) -> Dataquery:
        return _TraceQuery()


def build() -> builders.Dashboard:
    """Return the dashboard."""
    board = parts.board(
        "request",
        "Request",
        "One request by its id or its trace's: trace, phases, hops, gateway record, logs.",
    )
    board.time("now-24h", "now").annotations(parts.changes())
    board.variables(
        [
            *parts.variables(()),
            builders.DatasourceVariable("jaeger").label("Jaeger").type("jaeger"),
            builders.TextBoxVariable("request")
            .label("Request")
            .description("The gateway's id of the request, or its trace id."),
        ]
    )
    board.with_panel(
        rows(
            "This request",
            "What is known of the whole: where it came in, how it ended, who failed first, and how "
            "sure the join is.",
            f"""SELECT start, request_id, trace_id, gateway, api, operation, method, status,
                duration_ms, verdict_layer, verdict_component, outcome, consumer, region,
                join_tier, join_confidence, state
                FROM hopline.requests WHERE {_THIS} ORDER BY start LIMIT 20""",
            {
                "request_id": field(links=[to_page()], custom_width=260),
                "trace_id": field(links=[to_trace()], custom_width=260),
                "duration_ms": MS,
            },
            height=5,
        )
    )
    board.with_panel(
        builders.Panel()
        .type("traces")
        .title("Trace")
        .description("All spans with the gateway's record as the first, clocks corrected.")
        .datasource(_JAEGER)
        .height(16)
        .span(24)
        .with_target(_Trace())
    )
    board.with_panel(_phases())
    board.with_panel(_hops())
    board.with_panel(_record())
    board.with_panel(
        logs.Panel()
        .title("Logs")
        .description("Access logs of the mesh, and whatever else was logged under the trace's id.")
        .datasource(CLICKHOUSE)
        .height(10)
        .span(24)
        .show_time(True)
        .wrap_log_message(True)
        .with_target(
            sql(
                f"""SELECT Timestamp AS timestamp, Body AS body, SeverityText AS level,
                    ServiceName AS service, LogAttributes AS labels
                    FROM hopline.otel_logs WHERE {_LOG_IN_RANGE} AND TraceId != ''
                    AND (TraceId = {_ASKED}
                        OR TraceId IN (SELECT trace_id FROM hopline.requests WHERE {_THIS}))
                    ORDER BY timestamp LIMIT 1000""",
                "logs",
            )
        )
    )
    return board


def _phases() -> Builder[dashboard.Panel]:
    pairs = ", ".join(f"('{name.replace('_', ' ')}', {name}_ms)" for name in parts.PHASES)
    return rows(
        "Phases",
        "Where the time went; they add up to the whole. A phase that nobody measured is not there.",
        f"""SELECT pair.1 AS phase, pair.2 AS ms FROM (
                SELECT arrayJoin([{pairs}]) AS pair FROM hopline.requests WHERE {_THIS})
            WHERE isNotNull(ms) LIMIT 100""",
        {"ms": field(unit="ms", min=0, custom_cellOptions=_GAUGE)},
        span=8,
    )


def _hops() -> Builder[dashboard.Panel]:
    return rows(
        "Hops",
        "Each visit to a service: when, how long, its own time, and what its proxies took of it.",
        f"""SELECT index, service, name, start_offset_ms, duration_ms, self_ms, proxy_ms,
            critical_ms, attempt, attempts, status, pod, version, caller
            FROM hopline.hops WHERE {_THIS} ORDER BY request_id, index LIMIT 500""",
        dict.fromkeys(("start_offset_ms", "duration_ms", "self_ms", "proxy_ms"), MS),
        span=16,
    )


def _record() -> Builder[dashboard.Panel]:
    asked = f"(record_id = {_ASKED} OR trace_id = {_ASKED})"
    return rows(
        "Gateway record",
        "What the gateway wrote down, in each version that arrived, the newest first.",
        f"""SELECT fromUnixTimestamp64Nano(received_ns) AS received, source, gateway, instance,
            record_id, method, host, path, route, protocol, status, api, api_revision, operation,
            product, consumer, client_address, backend_host, backend_path, backend_status,
            backend_id, attempts, cache, error_source, error_section, error_reason, error_message,
            quality
            FROM hopline.gateway_record WHERE {_RECORD_IN_RANGE} AND {asked}
            ORDER BY received DESC LIMIT 20""",
        {},
        height=6,
    )
