-- The forms under which the ids of some gateway records are looked up, for each stored version.
{% from "macros/ids.sql" import request_id_key %}
SELECT
    gateway, record_id,
    arrayFilter(k -> k != '', arrayConcat(
        arrayMap(i -> {{ request_id_key("i.2") }}, ids),
        arrayFilter(t -> match(t, '^[0-9a-f]{32}$'), arrayMap(i -> replaceAll(lower(i.2), '-', ''), ids)))) AS keys
FROM {database:Identifier}.gateway_record
WHERE (bucket, record_id, gateway) IN {keys:Array(Tuple(DateTime, String, String))}
ORDER BY gateway, record_id, received_ns DESC
LIMIT 1 BY gateway, record_id
