"""How the APIs are: rate, failures by layer, percentiles, joins, freshness."""

from grafana_foundation_sdk.builders import dashboard as builders

from dashboards import parts
from dashboards.parts import MS, SHARE, field, lines, number, rising, rows, sql, to_board, where

_TDIGEST = (
    "quantilesTDigestWeightedIf(0.5, 0.95, 0.99)(duration_ms, weight, isNotNull(duration_ms))"
)


def build() -> builders.Dashboard:
    """Return the dashboard."""
    every = where()
    board = parts.board(
        "overview",
        "Overview",
        "Requests as the gateways and the mesh saw them. Counts are weighed: a row may stand for "
        "many requests like it.",
    )
    board.variables(parts.variables()).annotations(parts.changes())
    board.with_row(builders.Row("Now"))
    board.with_panel(
        number(
            "Requests per second",
            "All requests in the range, over its length.",
            "reqps",
            sql(
                "SELECT sum(weight) / greatest(dateDiff('second', $__fromTime, $__toTime), 1)"
                f" AS requests FROM hopline.requests WHERE {every}",
                "table",
            ),
        )
    )
    board.with_panel(
        number(
            "Failed",
            "Share of requests that failed: by the gateway's judgement where it wrote a record, "
            "else by the outermost span.",
            "percentunit",
            sql(
                "SELECT sumIf(weight, is_error) / sum(weight) AS failed"
                f" FROM hopline.requests WHERE {every}",
                "table",
            ),
            rising(0.01, 0.05),
        )
    )
    board.with_panel(
        number(
            "95th percentile",
            "95 of 100 requests took less. Requests without a known duration are left out.",
            "ms",
            sql(
                "SELECT quantileTDigestWeightedIf(0.95)(duration_ms, weight,"
                f" isNotNull(duration_ms)) AS p95 FROM hopline.requests WHERE {every}",
                "table",
            ),
            rising(500, 2000),
        )
    )
    board.with_panel(
        number(
            "In the gateway",
            "Share of all time that was spent in the gateway itself.",
            "percentunit",
            sql(
                "SELECT sum(gateway_ms * weight) / sum(duration_ms * weight) AS share"
                f" FROM hopline.requests WHERE {every} AND isNotNull(gateway_ms)",
                "table",
            ),
            rising(0.25, 0.5),
        )
    )
    board.with_panel(
        number(
            "Joined",
            "Share of gateway records that lead to spans, of those that reached the mesh.",
            "percentunit",
            sql(
                "SELECT sumIf(weight, joined) / sumIf(weight, isNotNull(joined)) AS joined_share"
                f" FROM hopline.requests WHERE {every}",
                "table",
            ),
            parts.falling(0.5, 0.9),
        )
    )
    board.with_panel(
        number(
            "Newest request",
            "Age of the newest request that is stitched. Log Analytics is minutes late by nature.",
            "s",
            sql(
                "SELECT dateDiff('second', max(start), now()) AS age FROM hopline.requests"
                " WHERE bucket >= now() - INTERVAL 1 DAY",
                "table",
            ),
            rising(900, 3600),
        )
    )
    board.with_row(builders.Row("Over time"))
    board.with_panel(
        lines(
            "Requests by API",
            "Requests per second, by gateway and API.",
            "reqps",
            sql(f"""SELECT $__timeInterval(start) AS time, concat(gateway, ' ', api) AS series,
                sum(weight) / $__interval_s AS requests
                FROM hopline.requests WHERE {every} GROUP BY time, series ORDER BY time"""),
        )
    )
    board.with_panel(
        lines(
            "Failures by layer",
            "Failed requests per second, by the layer that failed first.",
            "reqps",
            sql(f"""SELECT $__timeInterval(start) AS time,
                if(verdict_layer = '', 'unknown', verdict_layer) AS series,
                sum(weight) / $__interval_s AS failed
                FROM hopline.requests WHERE {where(more="is_error")}
                GROUP BY time, series ORDER BY time"""),
            is_stacked=True,
        )
    )
    board.with_panel(
        lines(
            "Duration",
            "Percentiles of all requests together.",
            "ms",
            sql(f"""SELECT time, parts[1] AS p50, parts[2] AS p95, parts[3] AS p99
                FROM (SELECT $__timeInterval(start) AS time, {_TDIGEST} AS parts
                FROM hopline.requests WHERE {every} GROUP BY time) ORDER BY time"""),
        )
    )
    board.with_panel(
        lines(
            "95th percentile by API",
            "Of the requests whose duration is known.",
            "ms",
            sql(f"""SELECT $__timeInterval(start) AS time, concat(gateway, ' ', api) AS series,
                quantileTDigestWeighted(0.95)(assumeNotNull(duration_ms), weight) AS p95
                FROM hopline.requests WHERE {where(more="isNotNull(duration_ms)")}
                GROUP BY time, series ORDER BY time"""),
            thresholds=rising(500, 2000),
        )
    )
    board.with_panel(
        lines(
            "Joined by gateway",
            "Share of records that lead to spans. A drop means that a hop stopped passing the "
            "trace context on, or that spans are not sampled.",
            "percentunit",
            sql(f"""SELECT $__timeInterval(start) AS time, gateway AS series,
                sumIf(weight, joined) / sum(weight) AS joined_share
                FROM hopline.requests WHERE {where(more="isNotNull(joined)")}
                GROUP BY time, series ORDER BY time"""),
        ).max(1)
    )
    board.with_panel(
        lines(
            "Lateness by gateway",
            "How late records arrive: seconds from the end of a request to its record, 90th "
            "percentile.",
            "s",
            sql("""SELECT $__timeInterval(start) AS time, gateway AS series,
                quantile(0.9)((received_ns - start_ns - ifNull(duration_ns, 0)) / 1e9) AS late
                FROM hopline.gateway_record
                WHERE $__timeFilter(start) AND bucket >= $__fromTime - INTERVAL 5 MINUTE
                AND bucket <= $__toTime AND $__conditionalAll(gateway IN (${gateway:singlequote}),
                $gateway) GROUP BY time, series ORDER BY time"""),
            thresholds=rising(900, 3600),
        )
    )
    board.with_row(builders.Row("By API"))
    board.with_panel(
        rows(
            "APIs",
            "One row for each API. Click one for its slow requests, or where its time went.",
            f"""SELECT gateway, api, requests, failed, parts[1] AS p50_ms, parts[2] AS p95_ms,
                parts[3] AS p99_ms, gateway_share, joined_share FROM (
                SELECT gateway, api, sum(weight) AS requests,
                sumIf(weight, is_error) / sum(weight) AS failed, {_TDIGEST} AS parts,
                sumIf(gateway_ms * weight, isNotNull(gateway_ms))
                    / sumIf(duration_ms * weight, isNotNull(gateway_ms)) AS gateway_share,
                sumIf(weight, joined) / sumIf(weight, isNotNull(joined)) AS joined_share
                FROM hopline.requests WHERE {every} GROUP BY gateway, api)
                ORDER BY requests DESC LIMIT 200""",
            {
                "api": field(
                    links=[
                        to_board("slow-requests", "Slow requests", gateway="gateway", api="api"),
                        to_board(
                            "gateway-and-mesh", "Where the time went", gateway="gateway", api="api"
                        ),
                        to_board("mesh-hops", "Hops", gateway="gateway", api="api"),
                    ]
                ),
                "failed": SHARE,
                "gateway_share": [*SHARE, *field(displayName="in the gateway")],
                "joined_share": [*SHARE, *field(displayName="joined")],
                "p50_ms": [*MS, *field(displayName="p50")],
                "p95_ms": [*MS, *field(displayName="p95")],
                "p99_ms": [*MS, *field(displayName="p99")],
            },
        )
    )
    return board
