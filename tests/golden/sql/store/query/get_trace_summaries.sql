SELECT
    trace_id, min(start_ns) AS start, max(end_ns) AS end,
    if(uniqMerge(span_ids) = 0, sum(spans), uniqMerge(span_ids)) AS span_count,
    if(uniqMerge(span_ids) = 0, sum(errors), uniqMerge(error_ids)) AS error_count,
    arraySort(groupUniqArrayArray(services)) AS all_services, min(edge) AS first_edge,
    first_edge.rank % 4000000000000000000 AS edge_start_ns, min(place).duration_ns AS edge_duration_ns, max(received_ns) AS received
FROM {database:Identifier}.trace_summary
WHERE (bucket, trace_id) IN {keys:Array(Tuple(DateTime, String))} OR trace_id IN {long_ids:Array(String)}
GROUP BY trace_id
ORDER BY trace_id
