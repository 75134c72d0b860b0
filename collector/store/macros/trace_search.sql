-- The rows of trace_summary of a search from its cursor on.
{{around:bucket}}
    AND {{trace_filter}}
    AND ({service:String} = '' OR trace_id GLOBAL IN ({{traces_of_service}}))
    AND ({is_thorough:Int32} = 0 OR NOT {{trace_is_recorded}})
    AND (value, edge_start_ns) <= ({after_value:Int64}, {after_start_ns:Int64})
