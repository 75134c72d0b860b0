-- Rows of trace_summary whose edge span fits a filter, in the order of a search, behind a cursor.
-- A row may be a part of its trace: the caller keeps those that hold the edge of the whole.
SELECT
    if({order:String} = '-start', edge.start_ns, edge.duration_ns) AS value,
    edge.start_ns AS edge_start_ns, trace_id, edge.span_id AS edge_span_id, edge.request_key AS request_key
FROM {database:Identifier}.trace_summary
WHERE {{around:bucket}}
    AND {{trace_filter}}
    AND ({service:String} = '' OR trace_id GLOBAL IN ({{traces_of_service}}))
    AND ({is_thorough:Int32} = 0 OR NOT {{trace_is_recorded}})
    AND value <= {after_value:Int64}
    AND (value, edge_start_ns, '', trace_id)
        < ({after_value:Int64}, {after_start_ns:Int64}, {after_gateway:String}, {after_id:String})
ORDER BY value DESC, edge_start_ns DESC, trace_id DESC
LIMIT {limit:UInt32}
