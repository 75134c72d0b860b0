-- Where gateway_record keeps some records, found by their traces or by their own ids, once for each insert; also
-- what else has such a key, which the caller leaves out. With a gateway only the parts that hold records are read:
-- 50 keys take 15 CPU ms instead of 24. More conditions would each be looked up in the order of id_index as well.
-- Keys that are computed are a subquery: with `IN arrayMap(…)` the engine does not use the order of id_index
-- and reads all of it (1,028 of 1,028 granules at a million rows, 5 as it stands).
{% from "macros/ids.sql" import request_id_key %}
SELECT trace_id, toUnixTimestamp(bucket) AS bucket_s, record_id, gateway
FROM {database:Identifier}.id_index
PREWHERE key IN {trace_ids:Array(String)}
WHERE gateway != ''
{% if record_ids %}
UNION ALL
SELECT trace_id, toUnixTimestamp(bucket) AS bucket_s, record_id, gateway
FROM {database:Identifier}.id_index
PREWHERE key IN (SELECT arrayJoin(arrayMap(r -> {{ request_id_key("r") }}, {record_ids:Array(String)})))
WHERE gateway != ''
{% endif %}
