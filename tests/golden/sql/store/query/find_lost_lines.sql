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
WHERE startsWith(Body, '[') AND match(Body, '^\\[[^\\]"]{0,64}\\] "\\S* \\S* [^"]*" \\d+ \\S+ ')
                OR startsWith(Body, '{') AND length(Body) <= 16384
                    AND match(Body, '(?i)"(?:response.?flags?|upstream.?cluster[a-z._]*|response.?(?:code.?)?details|processing_ns)"')
                OR arrayExists(
                    name -> match(name, '(?i)^(?:response.?flags?|upstream.?cluster[a-z._]*|response.?(?:code.?)?details|processing_ns)$'),
                    mapKeys(LogAttributes))
GROUP BY service
HAVING lost > 0
ORDER BY lost DESC, service
LIMIT {limit:UInt32}
