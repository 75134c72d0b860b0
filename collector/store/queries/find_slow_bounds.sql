-- The 95th percentile of the durations of each API, and of each edge service's traces, in a range.
{% from "macros/requests.sql" import five_minutes, record_is_answer %}
SELECT gateway, api, quantileTDigest(0.95)(duration_ns) AS p95, count() AS measured
FROM {database:Identifier}.gateway_record
WHERE bucket >= {{ five_minutes("{start_ns:Int64}") }} AND bucket <= {{ five_minutes("{end_ns:Int64}") }}
    AND isNotNull(duration_ns) AND {{ record_is_answer() }}
GROUP BY gateway, api
UNION ALL
SELECT '' AS gateway, edge.service AS api, quantileTDigest(0.95)(place.duration_ns) AS p95, count() AS measured
FROM {database:Identifier}.trace_summary
WHERE bucket >= {{ five_minutes("{start_ns:Int64}") }} AND bucket <= {{ five_minutes("{end_ns:Int64}") }}
GROUP BY api
ORDER BY measured DESC, gateway, api
LIMIT {limit:UInt32}
