SELECT key, kind, trace_id, gateway, record_id, start_ns
FROM {database:Identifier}.id_index
PREWHERE key IN {keys:Array(String)}
ORDER BY start_ns DESC
LIMIT {limit:UInt32}
