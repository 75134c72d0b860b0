-- Some records of each API that fit and left the gateway, the same ones for the same range, to see how many of them
-- are joined.
{% from "macros/requests.sql" import fits, in_range, record_has_left, record_is_counted %}
SELECT gateway, api, record_id, toUnixTimestamp(bucket) AS bucket_s, if(source = {span_source:String}, trace_id, '') AS own_trace
FROM {database:Identifier}.gateway_record
WHERE {{ in_range() }} AND {{ fits() }} AND {{ record_is_counted() }} AND {{ record_has_left() }}
    AND cityHash64(record_id) % {one_in:UInt32} = 0
ORDER BY cityHash64(record_id), gateway
LIMIT {each:UInt32} BY gateway, api
LIMIT {limit:UInt32}
