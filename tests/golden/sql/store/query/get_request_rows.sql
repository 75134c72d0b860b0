SELECT
    gateway, record_id, start_ns, duration_ns, received_ns, trace_id, api, operation, route, method,
    host, path, status, is_error, consumer, api_revision, backend_ns, source
FROM {database:Identifier}.gateway_record
WHERE (bucket, record_id, gateway) IN {keys:Array(Tuple(DateTime, String, String))}
