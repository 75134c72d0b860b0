-- Some records of each API that fit and left the gateway, the same ones for the same range, to see how many of them
-- are joined: those with the lowest hashes (see sample_requests). With ids that may be a trace's, and the forms of request
-- ids. The caller leaves out what comes again: an older version of a record.
{% from "macros/ids.sql" import request_id_key %}
{% from "macros/requests.sql" import fits, in_range, record_has_left, record_is_counted %}
SELECT
    gateway, record_id, api, if(source = {span_source:String}, trace_id, '') AS own_trace,
    arrayFilter(t -> match(t, '^[0-9a-f]{32}$'), arrayDistinct(arrayConcat(
        [trace_id], arrayMap(i -> replaceAll(lower(i.2), '-', ''), ids)))) AS trace_ids,
    arrayFilter(k -> k != '', arrayMap(i -> {{ request_id_key("i.2") }}, ids)) AS request_keys
FROM {database:Identifier}.gateway_record
WHERE {{ in_range() }} AND {{ fits() }} AND {{ record_is_counted(spans) }} AND {{ record_has_left() }}
    AND cityHash64(if(trace_id = '', record_id, trace_id)) <= {most:UInt64}
ORDER BY cityHash64(if(trace_id = '', record_id, trace_id)), record_id, gateway, received_ns DESC
LIMIT {each:UInt32} BY gateway, api
LIMIT {limit:UInt32}
