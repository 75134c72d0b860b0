-- Every place where one of the keys was seen, newest first. A key of 16 digits is what a 64-bit
-- system keeps of a trace id, so it is also compared with the lower half of every trace id.
SELECT key, kind, trace_id, gateway, record_id, start
FROM (
    SELECT key, kind, trace_id, gateway, record_id, min(start_ns) AS start
    FROM {database:Identifier}.id_index
    WHERE key IN {keys:Array(String)}
    GROUP BY key, kind, trace_id, gateway, record_id
    UNION ALL
    SELECT
        TraceId AS key, 'trace_id' AS kind, TraceId AS trace_id, '' AS gateway, '' AS record_id,
        toInt64(toUnixTimestamp(min(Start))) * 1000000000 AS start
    FROM {database:Identifier}.otel_traces_trace_id_ts
    WHERE TraceId IN {keys:Array(String)}
    GROUP BY TraceId
    UNION ALL -- when half_keys
    SELECT -- when half_keys
        substring(TraceId, 17) AS key, 'trace_id' AS kind, TraceId AS trace_id, '' AS gateway, -- when half_keys
        '' AS record_id, toInt64(toUnixTimestamp(min(Start))) * 1000000000 AS start -- when half_keys
    FROM {database:Identifier}.otel_traces_trace_id_ts -- when half_keys
    WHERE substring(TraceId, 17) IN {half_keys:Array(String)} -- when half_keys
    GROUP BY TraceId -- when half_keys
)
ORDER BY start DESC, key, kind, trace_id, gateway, record_id
LIMIT {limit:UInt32}
