-- Lines of proxies' access logs of a range by who sent them: how many, how many of them carry no id, so that no request
-- is known by them, and from when to when those are. Of the first `looked_at` log records of whatever kind.
{% from "macros/access_logs.sql" import is_access_line %}
SELECT
    ServiceName AS service, count() AS lines, countIf(is_lost) AS lost,
    toUnixTimestamp64Nano(minIf(Timestamp, is_lost)) AS first_ns, toUnixTimestamp64Nano(maxIf(Timestamp, is_lost)) AS last_ns
FROM (
    SELECT ServiceName, Timestamp, Body, LogAttributes, TraceId = '' AND empty(RequestKeys) AS is_lost
    FROM {database:Identifier}.otel_logs
    WHERE toStartOfFiveMinutes(Timestamp) >= fromUnixTimestamp64Nano({start_ns:Int64}) - 300
        AND toStartOfFiveMinutes(Timestamp) <= fromUnixTimestamp64Nano({end_ns:Int64})
        AND Timestamp >= fromUnixTimestamp64Nano({start_ns:Int64}) AND Timestamp < fromUnixTimestamp64Nano({end_ns:Int64})
    LIMIT {looked_at:UInt32}
)
WHERE {{ is_access_line() }}
GROUP BY service
HAVING lost > 0
ORDER BY lost DESC, service
LIMIT {limit:UInt32}
