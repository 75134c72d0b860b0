"""Which services requests visit, the gateway among them: their time, failures, proxies, retries."""

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.builders import nodegraph

from dashboards import parts
from dashboards.parts import HOP_FILTERS, MS, SHARE, field, lines, rising, rows, sql, where


def build() -> builders.Dashboard:
    """Return the dashboard."""
    every = where(HOP_FILTERS, more="NOT mirrored")
    board = parts.board(
        "mesh-hops",
        "Mesh hops",
        "A hop is one visit of a request to one service, with its proxies. Hops of sampled "
        "requests are weighed.",
    )
    board.variables(parts.variables(HOP_FILTERS)).annotations(parts.changes())
    board.with_panel(
        nodegraph.Panel()
        .title("Who calls whom")
        .description(
            "Services by who called them; the number is the 95th percentile and the calls per "
            "second, the ring the share that failed."
        )
        .datasource(parts.CLICKHOUSE)
        .height(14)
        .span(24)
        .nodes(
            nodegraph.NodeOptions()
            .main_stat_unit("ms")
            .secondary_stat_unit("reqps")
            .arcs(
                [
                    nodegraph.ArcOption().field("arc__failed").color("red"),
                    nodegraph.ArcOption().field("arc__ok").color("green"),
                ]
            )
        )
        .edges(nodegraph.EdgeOptions().main_stat_unit("reqps"))
        .with_target(sql(_nodes(every), "table", "nodes"))
        .with_target(sql(_edges(every), "table", "edges"))
    )
    board.with_panel(
        lines(
            "95th percentile by service",
            "Of a visit to the service, with all that it waits for.",
            "ms",
            sql(f"""SELECT $__timeInterval(start) AS time, service AS series,
                quantileTDigestWeighted(0.95)(assumeNotNull(duration_ms), weight) AS p95
                FROM hopline.hops WHERE {every} AND isNotNull(duration_ms)
                GROUP BY time, series ORDER BY time"""),
        )
    )
    board.with_panel(
        lines(
            "Who holds up the answer",
            "Mean time of a request in which the service alone held up the answer.",
            "ms",
            sql(f"""SELECT $__timeInterval(start) AS time, service AS series,
                sum(critical_ms * weight) / sum(weight) AS critical
                FROM hopline.hops WHERE {every} GROUP BY time, series ORDER BY time"""),
            is_stacked=True,
        )
    )
    board.with_panel(
        lines(
            "What the proxies take",
            "Share of a hop's time that its proxies took.",
            "percentunit",
            sql(f"""SELECT $__timeInterval(start) AS time, service AS series,
                sum(proxy_ms * weight) / sum(duration_ms * weight) AS share
                FROM hopline.hops WHERE {every} AND duration_ms > 0
                GROUP BY time, series ORDER BY time"""),
            thresholds=rising(0.1, 0.3),
        )
    )
    board.with_panel(
        lines(
            "Failed by service",
            "Share of visits that failed.",
            "percentunit",
            sql(f"""SELECT $__timeInterval(start) AS time, service AS series,
                sumIf(weight, is_error) / sum(weight) AS failed
                FROM hopline.hops WHERE {every} GROUP BY time, series ORDER BY time"""),
            thresholds=rising(0.01, 0.05),
        ).max(1)
    )
    board.with_panel(
        lines(
            "Response flags",
            "Why Envoy ended calls itself: UH no healthy upstream, UF cannot connect, UO overflow, "
            "URX retries used up, UT timeout, DC client gone.",
            "reqps",
            sql(f"""SELECT $__timeInterval(start) AS time,
                concat(service, ' ', arrayJoin(flags)) AS series,
                sum(weight) / $__interval_s AS calls
                FROM hopline.hops WHERE {every} GROUP BY time, series ORDER BY time"""),
        )
    )
    board.with_panel(
        lines(
            "Retries by service",
            "Calls per second that were tried again.",
            "reqps",
            sql(f"""SELECT $__timeInterval(start) AS time, service AS series,
                sumIf(weight, attempt > 1) / $__interval_s AS retries
                FROM hopline.hops WHERE {every} GROUP BY time, series ORDER BY time"""),
        )
    )
    board.with_panel(
        rows(
            "Services",
            "One row for each service, version and zone.",
            f"""SELECT service, version, zone, sum(weight) AS visits,
                sumIf(weight, is_error) / sum(weight) AS failed,
                quantileTDigestWeightedIf(0.95)(ifNull(duration_ms, 0), weight,
                    isNotNull(duration_ms)) AS p95,
                sum(critical_ms * weight) / sum(weight) AS critical,
                sum(proxy_ms * weight) / sum(weight) AS proxies,
                sumIf(weight, inferred) / sum(weight) AS inferred
                FROM hopline.hops WHERE {every}
                GROUP BY service, version, zone ORDER BY visits DESC LIMIT 200""",
            {
                "service": field(
                    links=[
                        {
                            "title": "Requests that visit it",
                            "url": "${hopline}/requests?service=${__data.fields.service}",
                            "targetBlank": True,
                        }
                    ]
                ),
                "failed": SHARE,
                "p95": MS,
                "critical": MS,
                "proxies": MS,
                "inferred": SHARE,
            },
        )
    )
    return board


_CALLER = "if(caller = '' AND gateway != '' AND service != gateway, gateway, caller)"


def _nodes(every: str) -> str:
    return f"""
        SELECT id, id AS title, any(kind) AS subtitle,
            quantileTDigestWeightedIf(0.95)(ifNull(ms, 0), weight, isNotNull(ms)) AS mainstat,
            sum(weight) / greatest(dateDiff('second', $__fromTime, $__toTime), 1) AS secondarystat,
            sumIf(weight, failed) / sum(weight) AS arc__failed, 1 - arc__failed AS arc__ok
        FROM (
            SELECT service AS id, role AS kind, duration_ms AS ms, weight, is_error AS failed
            FROM hopline.hops WHERE {every}
            UNION ALL
            SELECT gateway AS id, 'gateway' AS kind, duration_ms AS ms, weight, is_error AS failed
            FROM hopline.requests WHERE {where(HOP_FILTERS)} AND gateway != '')
        GROUP BY id ORDER BY secondarystat DESC LIMIT 200"""


def _edges(every: str) -> str:
    return f"""
        SELECT concat({_CALLER}, '>', service) AS id, {_CALLER} AS source, service AS target,
            sum(weight) / greatest(dateDiff('second', $__fromTime, $__toTime), 1) AS mainstat,
            sumIf(weight, is_error) / sum(weight) AS secondarystat
        FROM hopline.hops WHERE {every} AND source != ''
        GROUP BY id, source, target ORDER BY mainstat DESC LIMIT 500"""
