-- Rows of trace_summary whose edge span fits a filter, in the order of a search, from a cursor on: at most
-- `limit`, or all that are equal in value and start to the last of them; see find_records.
-- A row may be a part of its trace: the caller keeps those that hold the edge of the whole.
SELECT
    {{trace_value}} AS value, {{edge_start:place}} AS edge_start_ns,
    trace_id, edge.span_id AS edge_span_id, edge.request_key AS request_key
FROM {database:Identifier}.trace_summary
WHERE {{trace_search}}
ORDER BY value DESC, edge_start_ns DESC
LIMIT {limit:UInt32}
    WITH TIES -- when with_ties
