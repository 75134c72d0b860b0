-- What joins some gateway records to spans: ids that may be a trace's, and the forms of request ids.
{% from "macros/ids.sql" import request_id_key %}
SELECT
    gateway, record_id,
    arrayFilter(t -> t != '', arrayConcat(
        [trace_id], arrayMap(i -> replaceAll(lower(i.2), '-', ''), ids))) AS trace_ids,
    arrayFilter(k -> k != '', arrayMap(i -> {{ request_id_key("i.2") }}, ids)) AS request_keys
FROM {database:Identifier}.gateway_record
WHERE (bucket, record_id, gateway) IN {keys:Array(Tuple(DateTime, String, String))}
ORDER BY gateway, record_id
