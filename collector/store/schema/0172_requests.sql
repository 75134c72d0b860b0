-- Requests for people and dashboards: the latest revision of each, health probes left out, times in milliseconds.
-- Each row stands for `weight` requests: count with sum(weight), and take quantiles with
-- quantileTDigestWeighted(0.95)(duration_ms, weight). Its name and columns stay. Conditions on `bucket`, the five
-- minutes in which it began, keep a query to a part of the table; those on `start` alone do not.
-- Source: request.
CREATE VIEW IF NOT EXISTS {{ database }}.requests {{ on_cluster }} AS
SELECT
    fromUnixTimestamp64Nano(start_ns) AS start,
    bucket, request_id, trace_id, weight,
    gateway, instance, api, api_revision, operation, product, consumer, client, region,
    method, host, route, path, status, is_error, error_reason, cache, policies,
    duration_ns / 1e6 AS duration_ms,
    client_ns / 1e6 AS client_ms,
    gateway_ns / 1e6 AS gateway_ms,
    cache_ns / 1e6 AS cache_ms,
    network_ns / 1e6 AS network_ms,
    edge_proxy_ns / 1e6 AS edge_proxy_ms,
    mesh_proxy_ns / 1e6 AS mesh_proxy_ms,
    app_ns / 1e6 AS app_ms,
    dependency_ns / 1e6 AS dependency_ms,
    unexplained_ns / 1e6 AS unexplained_ms,
    open_ns / 1e6 AS open_ms,
    backend_host, backend_status, backend_ns / 1e6 AS backend_ms, request_bytes, response_bytes, quality,
    verdict_layer, verdict_component, verdict_class, verdict_confidence, outcome,
    state, is_joined AS joined, join_tier, join_confidence, services, length(hop.service) AS hops, retries, flags
FROM {{ database }}.request FINAL
WHERE NOT is_probe
