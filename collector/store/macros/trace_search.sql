-- The rows of trace_summary of a search from its cursor on.
{{around:bucket}}
    AND {{trace_filter}}
    AND cityHash64(trace_id) GLOBAL IN ({{traces_of_service}}) -- when thorough_service
    AND NOT {{trace_is_recorded}} -- when thorough_unclaimed
    AND (value, edge_start_ns) <= ({after_value:Int64}, {after_start_ns:Int64}) -- when after
