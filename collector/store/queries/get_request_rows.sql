-- The newest version of some gateway records, as a search shows it, with the forms of their ids. A
-- version made of spans knows no API: it is shown where the gateway's own log is not there.
SELECT
    gateway, record_id, start_ns, duration_ns, received_ns, trace_id, api, operation, route, method,
    host, path, status, is_error, consumer, api_revision, backend_ns, source,
    arrayFilter(k -> k != '', arrayConcat(
        arrayMap(i -> {{request_id_key:i.2}}, ids),
        arrayFilter(t -> match(t, '^[0-9a-f]{32}$'), arrayMap(i -> replaceAll(lower(i.2), '-', ''), ids)))) AS keys
FROM {database:Identifier}.gateway_record
WHERE (bucket, record_id, gateway) IN {keys:Array(Tuple(DateTime, String, String))}
ORDER BY gateway, record_id, source = 'span', received_ns DESC, source, start_ns
LIMIT 1 BY gateway, record_id
