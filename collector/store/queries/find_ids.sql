-- The places where one of the keys was seen, newest first, once for each insert: the caller adds them up. The
-- engine would take twice as long, to plan the grouping of a handful of rows.
SELECT key, kind, trace_id, gateway, record_id, start_ns
FROM {database:Identifier}.id_index
PREWHERE key IN {keys:Array(String)}
ORDER BY start_ns DESC
LIMIT {limit:UInt32}
