-- Which of some gateway records have spans: under their trace id, or under one of their request ids.
{% from "macros/ids.sql" import request_id_key %}
WITH picked AS (
    SELECT gateway, record_id, trace_id, ids
    FROM {database:Identifier}.gateway_record
    WHERE (bucket, record_id, gateway) IN {keys:Array(Tuple(DateTime, String, String))}
)
SELECT DISTINCT gateway, record_id
FROM (
    SELECT gateway, record_id, key
    FROM picked
    ARRAY JOIN arrayConcat(
        [trace_id],
        arrayMap(i -> {{ request_id_key("i.2") }}, ids),
        arrayMap(i -> replaceAll(lower(i.2), '-', ''), ids)) AS key
    WHERE key != ''
)
WHERE key GLOBAL IN (
    SELECT TraceId FROM {database:Identifier}.otel_traces_trace_id_ts
    WHERE TraceId GLOBAL IN (SELECT arrayJoin(arrayConcat([trace_id], arrayMap(i -> replaceAll(lower(i.2), '-', ''), ids))) FROM picked)
    UNION ALL
    SELECT key FROM {database:Identifier}.id_index
    WHERE key GLOBAL IN (SELECT arrayJoin(arrayMap(i -> {{ request_id_key("i.2") }}, ids)) FROM picked) AND gateway = ''
)
ORDER BY gateway, record_id
