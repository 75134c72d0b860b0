-- What a join by likelihood reads of gateway records: those nearest to a moment, so that a limit
-- leaves a stretch of time without gaps. Records made of spans have theirs. Of one API, or all that have no trace id.
{% from "macros/requests.sql" import five_minutes %}
SELECT
    gateway, record_id, start_ns, instance, source, ids, trace_id, duration_ns, backend_ns,
    resolution_ns, method, path, route, api, operation, backend_method, backend_path,
    backend_status, response_bytes
FROM {database:Identifier}.gateway_record
WHERE bucket >= {{ five_minutes("{start_ns:Int64}") }} AND bucket <= {{ five_minutes("{end_ns:Int64}") }}
    AND start_ns >= {start_ns:Int64} AND start_ns < {end_ns:Int64}
    {% if of_api %}AND gateway = {gateway:String} AND api = {api:String}{% else %}AND trace_id = ''{% endif %}
    AND source != {span_source:String} AND ifNull(backend_ns, 0) > 0
ORDER BY abs(start_ns - {moment_ns:Int64}), record_id, received_ns DESC
LIMIT 1 BY gateway, record_id
LIMIT {limit:UInt32}
