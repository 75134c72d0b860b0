"""What Hopline cannot see: records that are not joined, sources that are late, doubtful values."""

from grafana_foundation_sdk.builders import dashboard as builders

from dashboards import parts
from dashboards.parts import SHARE, field, lines, rising, rows, sql, to_page, where

_RECORDS = """$__timeFilter(start) AND bucket >= $__fromTime - INTERVAL 5 MINUTE
    AND bucket <= $__toTime
    AND $__conditionalAll(gateway IN (${gateway:singlequote}), $gateway)
    AND $__conditionalAll(api IN (${api:singlequote}), $api)"""


def build() -> builders.Dashboard:
    """Return the dashboard."""
    every = where()
    board = parts.board(
        "data-quality",
        "Data quality",
        "How far what the other dashboards say can be trusted. Hopline's page /doctor says what to "
        "do about it.",
    )
    board.variables(parts.variables()).annotations(parts.changes())
    board.link(builders.DashboardLink("Doctor").url("${hopline}/doctor").target_blank(True))
    board.with_panel(
        lines(
            "Joins by tier",
            "Gateway requests per second by how they were joined: 1 is an exact id, higher numbers "
            "are weaker evidence.",
            "reqps",
            sql(f"""SELECT $__timeInterval(start) AS time,
                multiIf(isNull(joined), 'never left the gateway', NOT joined, 'not joined',
                    concat('tier ', ifNull(toString(join_tier), 'unknown'))) AS series,
                sum(weight) / $__interval_s AS requests
                FROM hopline.requests WHERE {every} AND gateway != ''
                GROUP BY time, series ORDER BY time"""),
            is_stacked=True,
        )
    )
    board.with_panel(
        lines(
            "Lateness by source",
            "Seconds from the end of a request to its record: half and 99 of 100 arrive sooner.",
            "s",
            sql(f"""SELECT time, series, late[1] AS p50, late[2] AS p99 FROM (
                SELECT $__timeInterval(start) AS time, concat(gateway, ' ', source) AS series,
                quantiles(0.5, 0.99)((received_ns - start_ns - ifNull(duration_ns, 0)) / 1e9)
                    AS late
                FROM hopline.gateway_record WHERE {_RECORDS} GROUP BY time, series)
                ORDER BY time"""),
            thresholds=rising(900, 3600),
        )
    )
    board.with_panel(
        lines(
            "Records that contradict themselves",
            "Share of records with a remark on their quality, by remark.",
            "percentunit",
            sql(f"""SELECT time, remark AS series, uniqExact(record_id) / any(whole) AS share FROM (
                SELECT $__timeInterval(start) AS time, record_id, arrayJoin(quality) AS remark
                FROM hopline.gateway_record WHERE {_RECORDS}) AS each
                INNER JOIN (
                SELECT $__timeInterval(start) AS time, uniqExact(record_id) AS whole
                FROM hopline.gateway_record WHERE {_RECORDS} GROUP BY time) AS whole USING (time)
                GROUP BY time, series ORDER BY time"""),
        )
    )
    board.with_panel(
        lines(
            "Unexplained time by API",
            "Share of a request's time that nobody claims: services without spans, or clocks that "
            "disagree.",
            "percentunit",
            sql(f"""SELECT $__timeInterval(start) AS time, concat(gateway, ' ', api) AS series,
                sum(ifNull(unexplained_ms, 0) * weight) / sum(duration_ms * weight) AS share
                FROM hopline.requests WHERE {every} 
                AND duration_ms > 0 GROUP BY time, series ORDER BY time"""),
            thresholds=rising(0.2, 0.5),
        )
    )
    board.with_panel(
        lines(
            "Records by source",
            "Records per second as they arrived, resent ones counted once.",
            "reqps",
            sql(f"""SELECT $__timeInterval(start) AS time, concat(gateway, ' ', source) AS series,
                uniqExact(record_id) / $__interval_s AS records
                FROM hopline.gateway_record WHERE {_RECORDS}
                GROUP BY time, series ORDER BY time"""),
        )
    )
    board.with_panel(
        lines(
            "State of timelines",
            "Requests per second by how much of their timeline is there.",
            "reqps",
            sql(f"""SELECT $__timeInterval(start) AS time, state AS series,
                sum(weight) / $__interval_s AS requests
                FROM hopline.requests WHERE {every} GROUP BY time, series ORDER BY time"""),
            is_stacked=True,
        )
    )
    board.with_panel(
        rows(
            "Joins by API",
            "Share joined, mean confidence, and one request that is not.",
            f"""SELECT gateway, api, sum(weight) AS requests,
                sumIf(weight, joined) / sumIf(weight, isNotNull(joined)) AS joined_share,
                avgIf(join_confidence, isNotNull(join_confidence)) AS confidence,
                argMaxIf(request_id, start, NOT joined) AS request_id
                FROM hopline.requests WHERE {every} AND gateway != ''
                GROUP BY gateway, api ORDER BY joined_share LIMIT 200""",
            {
                "joined_share": SHARE,
                "confidence": SHARE,
                "request_id": field(links=[to_page()], displayName="not joined, for example"),
            },
        )
    )
    board.with_panel(
        rows(
            "Sources",
            "When each source was last heard of, whatever the range.",
            """SELECT gateway, source, uniq(record_id) AS records, max(start) AS newest,
                dateDiff('second', newest, now()) AS age FROM hopline.gateway_record
                WHERE bucket >= now() - INTERVAL 1 DAY GROUP BY gateway, source ORDER BY age""",
            {"age": field(unit="s")},
        )
    )
    return board
