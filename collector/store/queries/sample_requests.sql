-- The gateway records of a range with the lowest hashes: the same ones whenever it is asked.
-- A record is placed by its trace id where it has one, so that it and its trace are drawn together.
{% from "macros/requests.sql" import five_minutes, record_is_counted %}
SELECT
    cityHash64(if(trace_id = '', record_id, trace_id)) AS place, gateway, record_id, trace_id, api,
    start_ns, duration_ns, received_ns
FROM {database:Identifier}.gateway_record
WHERE bucket >= {{ five_minutes("{start_ns:Int64}") }} AND bucket <= {{ five_minutes("{end_ns:Int64}") }}
    AND start_ns >= {start_ns:Int64} AND start_ns < {end_ns:Int64}
    AND ({api:String} = '' OR api = {api:String})
    AND place <= {most:UInt64}
    AND {{ record_is_counted(spans) }}
ORDER BY place, gateway, record_id, received_ns DESC
LIMIT 1 BY gateway, record_id
LIMIT {limit:UInt32}
