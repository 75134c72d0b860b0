"""Why an API is slow: the gateway, the network, the mesh's proxies, or the services behind them."""

from grafana_foundation_sdk.builders import dashboard as builders

from dashboards import parts
from dashboards.parts import MS, SHARE, field, lines, rising, rows, sql, to_board, where

_SHARES = (
    ("gateway itself", "gateway_ms"),
    ("gateway's cache", "cache_ms"),
    ("client sending", "client_ms"),
    ("network", "network_ms"),
    ("proxies", "edge_proxy_ms", "mesh_proxy_ms"),
    ("services", "app_ms"),
    ("dependencies", "dependency_ms"),
    ("unexplained", "unexplained_ms"),
)


def _share(*columns: str) -> str:
    time = " + ".join(f"ifNull({column}, 0)" for column in columns)
    return f"sum(({time}) * weight) / sum(duration_ms * weight)"


def build() -> builders.Dashboard:
    """Return the dashboard."""
    known = where(more="duration_ms > 0")
    shares = ", ".join(f"{_share(*columns)} AS `{name}`" for name, *columns in _SHARES)
    board = parts.board(
        "gateway-and-mesh",
        "Gateway against mesh",
        "Which side of the gateway takes the time, and which side fails.",
    )
    board.variables(parts.variables()).annotations(parts.changes())
    board.with_panel(
        lines(
            "Where the time goes",
            "Share of all time of the chosen requests, by who had it. What nobody measured is "
            "'unexplained'; background work can make the sum exceed one.",
            "percentunit",
            sql(f"""SELECT $__timeInterval(start) AS time, {shares} FROM hopline.requests
                WHERE {known} GROUP BY time ORDER BY time"""),
            is_stacked=True,
        )
    )
    board.with_panel(
        lines(
            "Gateway's share by API",
            "Share of a request's time that the gateway itself took.",
            "percentunit",
            sql(f"""SELECT $__timeInterval(start) AS time, concat(gateway, ' ', api) AS series,
                sum(gateway_ms * weight) / sum(duration_ms * weight) AS share
                FROM hopline.requests WHERE {known} AND isNotNull(gateway_ms)
                GROUP BY time, series ORDER BY time"""),
            thresholds=rising(0.25, 0.5),
        ).max(1)
    )
    board.with_panel(
        lines(
            "Mesh's share by API",
            "Share of a request's time in services, their proxies and what they depend on.",
            "percentunit",
            sql(f"""SELECT $__timeInterval(start) AS time, concat(gateway, ' ', api) AS series,
                {_share("edge_proxy_ms", "mesh_proxy_ms", "app_ms", "dependency_ms")} AS share
                FROM hopline.requests WHERE {known} GROUP BY time, series ORDER BY time"""),
        ).max(1)
    )
    board.with_panel(
        lines(
            "Gateway's time by region",
            "95th percentile of the time in the gateway itself, by region and instance.",
            "ms",
            sql(f"""SELECT $__timeInterval(start) AS time,
                concat(gateway, ' ', region, ' ', instance) AS series,
                quantileTDigestWeighted(0.95)(assumeNotNull(gateway_ms), weight) AS p95
                FROM hopline.requests WHERE {known} AND isNotNull(gateway_ms)
                GROUP BY time, series ORDER BY time"""),
        )
    )
    board.with_panel(
        lines(
            "Who failed first",
            "Failed requests per second by layer and class of the verdict.",
            "reqps",
            sql(f"""SELECT $__timeInterval(start) AS time,
                concat(verdict_layer, ' ', verdict_class) AS series,
                sum(weight) / $__interval_s AS failed
                FROM hopline.requests WHERE {where(more="is_error")}
                GROUP BY time, series ORDER BY time"""),
            is_stacked=True,
        )
    )
    board.with_panel(
        lines(
            "What the gateway says, what the backend said",
            "Requests per second whose status the gateway changed: the backend's status, then the "
            "client's.",
            "reqps",
            sql(f"""SELECT $__timeInterval(start) AS time,
                concat(ifNull(toString(backend_status), 'none'), ' to ',
                    ifNull(toString(status), 'none')) AS series,
                sum(weight) / $__interval_s AS requests
                FROM hopline.requests
                WHERE {where(more="gateway != '' AND ifNull(backend_status, 0) != status")}
                GROUP BY time, series ORDER BY time"""),
        )
    )
    board.with_panel(
        rows(
            "By API and operation",
            "95th percentiles of both sides, and the gateway's share of the time.",
            f"""SELECT gateway, api, operation, sum(weight) AS requests,
                quantileTDigestWeighted(0.95)(assumeNotNull(duration_ms), weight) AS total_p95,
                quantileTDigestWeightedIf(0.95)(ifNull(gateway_ms, 0), weight,
                    isNotNull(gateway_ms)) AS gateway_p95,
                quantileTDigestWeightedIf(0.95)(ifNull(backend_ms, 0), weight,
                    isNotNull(backend_ms)) AS backend_p95,
                {_share("gateway_ms")} AS gateway_share,
                {_share("unexplained_ms")} AS unexplained
                FROM hopline.requests WHERE {known}
                GROUP BY gateway, api, operation ORDER BY requests DESC LIMIT 200""",
            {
                "api": field(
                    links=[
                        to_board("slow-requests", "Slow requests", gateway="gateway", api="api"),
                        to_board("overview", "Overview", gateway="gateway", api="api"),
                    ]
                ),
                "operation": field(
                    links=[to_board("mesh-hops", "Hops", gateway="gateway", operation="operation")]
                ),
                "total_p95": MS,
                "gateway_p95": MS,
                "backend_p95": MS,
                "gateway_share": SHARE,
                "unexplained": SHARE,
            },
        )
    )
    return board
