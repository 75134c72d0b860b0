"""Which requests are slow, and what they have that others have not."""

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.builders import heatmap

from dashboards import parts
from dashboards.parts import MS, SHARE, field, lines, rows, sql, to_board, to_page, to_trace, where

_STEPS_MS = (5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000)
# What a request may have in common with others that are slow.
_DIMENSIONS = (
    "api", "api_revision", "operation", "region", "instance", "client", "consumer", "cache",
    "backend_host", "verdict_layer",
)  # fmt: skip


def build() -> builders.Dashboard:
    """Return the dashboard."""
    known = where(more="isNotNull(duration_ms)")
    board = parts.board(
        "slow-requests",
        "Slow requests",
        "Where slow requests spend their time, which they are, and what they have in common.",
    )
    board.variables(parts.variables()).annotations(parts.changes())
    board.with_panel(
        heatmap.Panel()
        .title("Durations")
        .description("Requests by how long they took; a row is up to the time that it names.")
        .datasource(parts.CLICKHOUSE)
        .height(9)
        .span(12)
        .calculate(False)
        .unit("short")
        .with_target(sql(_heat(known)))
    )
    phases = ", ".join(
        f'sum(ifNull({name}_ms, 0) * weight) / sum(weight) AS "{name} phase"'
        for name in parts.PHASES
    )
    board.with_panel(
        lines(
            "Phases",
            "Mean time of a request in each phase. A phase that a request does not have, or that "
            "nobody measured, adds nothing.",
            "ms",
            sql(f"""SELECT $__timeInterval(start) AS time, {phases} FROM hopline.requests
                WHERE {known} GROUP BY time ORDER BY time"""),
            is_stacked=True,
        )
    )
    board.with_panel(
        rows(
            "Slowest requests",
            "Click an id for the timeline or for all of it in Grafana, a trace id for the trace.",
            f"""SELECT start, request_id, trace_id, gateway, api, operation, status, duration_ms,
                gateway_ms, network_ms, mesh_proxy_ms, app_ms, dependency_ms, unexplained_ms,
                verdict_layer, verdict_component, consumer, region
                FROM hopline.requests WHERE {known} ORDER BY duration_ms DESC LIMIT 100""",
            {
                "request_id": field(
                    links=[to_page(), to_board("request", "In Grafana", request="request_id")],
                    custom_width=260,
                ),
                "trace_id": field(links=[to_trace()], custom_width=260),
                "api": field(
                    links=[
                        to_board(
                            "gateway-and-mesh", "Where the time went", gateway="gateway", api="api"
                        ),
                        to_board("overview", "Overview", gateway="gateway", api="api"),
                    ]
                ),
                "duration_ms": MS,
                **{f"{name}_ms": MS for name in ("gateway", "network", "mesh_proxy", "app")},
                "dependency_ms": MS,
                "unexplained_ms": MS,
            },
        )
    )
    board.with_panel(
        rows(
            "What slow requests have that others have not",
            "The slowest twentieth against the rest: share of either that has the value. A lift "
            "of 2 means twice as common among the slow ones. Hopline's own comparison "
            "(/api/v1/compare) gives bounds; this is a first look.",
            _cohorts(known),
            {"of_slow": SHARE, "of_others": SHARE, "lift": field(decimals=1)},
        )
    )
    return board


def _heat(known: str) -> str:
    """Count requests between steps: one column a step, so that rows of the map are in order."""
    columns, below = [], 0
    for step in _STEPS_MS:
        inside = f"duration_ms >= {below} AND duration_ms < {step}"
        columns.append(f'sumIf(weight, {inside}) AS "{step} ms"')
        below = step
    columns.append(f'sumIf(weight, duration_ms >= {below}) AS "longer"')
    return f"""SELECT $__timeInterval(start) AS time, {", ".join(columns)}
        FROM hopline.requests WHERE {known} GROUP BY time ORDER BY time"""


def _cohorts(known: str) -> str:
    pairs = ", ".join(f"('{name}', toString({name}))" for name in _DIMENSIONS)
    return f"""
        WITH (SELECT quantileTDigestWeighted(0.95)(assumeNotNull(duration_ms), weight)
            FROM hopline.requests WHERE {known}) AS bound
        SELECT pair.1 AS what, pair.2 AS value,
            sumIf(weight, duration_ms >= bound) AS slow,
            slow / any(all_slow) AS of_slow,
            sumIf(weight, duration_ms < bound) / any(all_others) AS of_others,
            of_slow / greatest(of_others, 1 / any(all_others)) AS lift
        FROM (
            SELECT weight, duration_ms, arrayJoin([{pairs}]) AS pair
            FROM hopline.requests WHERE {known}) AS each
        CROSS JOIN (
            SELECT greatest(sumIf(weight, duration_ms >= bound), 1) AS all_slow,
                greatest(sumIf(weight, duration_ms < bound), 1) AS all_others
            FROM hopline.requests WHERE {known}) AS whole
        WHERE value != ''
        GROUP BY what, value HAVING slow > 0 ORDER BY lift DESC, slow DESC LIMIT 50"""
