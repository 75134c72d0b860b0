-- Rows of trace_summary whose edge span fits a filter, in the order of a search, from a cursor on: at least
-- `limit`, and all that are equal in value and start to the last. In one or two passes, as find_records.
-- A row may be a part of its trace: the caller keeps those that hold the edge of the whole.
WITH ( -- when two_passes
    SELECT min((value, edge_start_ns)) FROM ( -- when two_passes
        SELECT {{trace_value}} AS value, {{edge_start:place}} AS edge_start_ns -- when two_passes
        FROM {database:Identifier}.trace_summary -- when two_passes
        WHERE {{trace_search}} -- when two_passes
        ORDER BY value DESC, edge_start_ns DESC -- when two_passes
        LIMIT {limit:UInt32}) -- when two_passes
) AS last -- when two_passes
SELECT
    {{trace_value}} AS value, {{edge_start:place}} AS edge_start_ns,
    trace_id, edge.span_id AS edge_span_id, edge.request_key AS request_key
FROM {database:Identifier}.trace_summary
WHERE {{trace_search}}
    AND {{trace_reaches_last}} -- when two_passes
ORDER BY value DESC, edge_start_ns DESC
LIMIT {limit:UInt32} WITH TIES -- when one_pass
