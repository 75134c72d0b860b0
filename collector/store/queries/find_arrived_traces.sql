-- The traces of which spans arrived in a stretch of time, in the order in which they did, and whether they failed.
{% from "macros/requests.sql" import edge_start, place_of %}
SELECT
    trace_id, min(edge).service AS service, {{ edge_start("min(edge)") }} AS edge_start_ns,
    min(place).duration_ns AS edge_duration_ns, min(edge).is_error OR sum(errors) > 0 AS is_failed,
    {{ place_of("trace_id") }} AS hash, max(received_ns) AS arrived_ns
FROM {database:Identifier}.trace_summary
WHERE received_ns > {after_ns:Int64} AND received_ns <= {until_ns:Int64}
GROUP BY trace_id
ORDER BY arrived_ns
