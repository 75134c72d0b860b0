-- Rows of trace_summary whose edge span fits a filter, in the order of a search, from a cursor on.
-- In two passes, as find_records.
-- A row may be a part of its trace: the caller keeps those that hold the edge of the whole.
WITH (
    SELECT min((value, edge_start_ns)) FROM (
        SELECT
            {{edge_start:place}} AS value, -- when by_start
            place.duration_ns AS value, -- when by_duration
            {{edge_start:place}} AS edge_start_ns
        FROM {database:Identifier}.trace_summary
        WHERE {{trace_search}}
        ORDER BY value DESC, edge_start_ns DESC
        LIMIT {limit:UInt32})
) AS last
SELECT
    {{edge_start:place}} AS value, -- when by_start
    place.duration_ns AS value, -- when by_duration
    {{edge_start:place}} AS edge_start_ns,
    trace_id, edge.span_id AS edge_span_id, edge.request_key AS request_key
FROM {database:Identifier}.trace_summary
WHERE {{trace_search}}
    AND bucket >= {{five_minutes:last.2}} - 3600 -- when by_start
    AND place.duration_ns >= last.1 -- when by_duration
    AND (value, edge_start_ns) >= last
ORDER BY value DESC, edge_start_ns DESC, trace_id DESC
