-- The gateway records that arrived in a stretch of time, in the order in which they did, and whether they failed.
-- The life of a connection that stays open is no time of an answer, and makes it no slow one.
-- A record is placed by its trace id where it has one, so that it and its trace are drawn together.
{% from "macros/requests.sql" import place_of, record_is_answer %}
SELECT
    gateway, record_id, trace_id, source, api, start_ns,
    if({{ record_is_answer() }}, duration_ns, NULL) AS answered_ns,
    is_error OR ifNull(status, 0) >= 500 AS is_failed,
    {{ place_of("if(trace_id = '', record_id, trace_id)") }} AS place, received_ns
FROM {database:Identifier}.gateway_record
WHERE received_ns > {after_ns:Int64} AND received_ns <= {until_ns:Int64}
ORDER BY received_ns
LIMIT {limit:UInt32} WITH TIES
