-- Rows of trace_summary whose edge span fits a filter, in the order of a search, from a cursor on.
-- In two passes, as find_records.
-- A row may be a part of its trace: the caller keeps those that hold the edge of the whole.
WITH (
    SELECT min((value, edge_start_ns)) FROM (
        SELECT
            if({order:String} = '-start', {{edge_start:place}}, place.duration_ns) AS value,
            {{edge_start:place}} AS edge_start_ns
        FROM {database:Identifier}.trace_summary
        WHERE {{trace_search}}
        ORDER BY value DESC, edge_start_ns DESC
        LIMIT {limit:UInt32})
) AS last
SELECT
    if({order:String} = '-start', {{edge_start:place}}, place.duration_ns) AS value,
    {{edge_start:place}} AS edge_start_ns,
    trace_id, edge.span_id AS edge_span_id, edge.request_key AS request_key
FROM {database:Identifier}.trace_summary
WHERE {{trace_search}}
    AND ({order:String} != '-start' OR bucket >= {{five_minutes:last.2}} - 3600)
    AND ({order:String} = '-start' OR place.duration_ns >= last.1)
    AND (value, edge_start_ns) >= last
ORDER BY value DESC, edge_start_ns DESC, trace_id DESC
