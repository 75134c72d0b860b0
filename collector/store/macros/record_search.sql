-- The gateway records of a search from its cursor on.
bucket >= {{five_minutes:{start_ns:Int64}}} AND bucket <= {{five_minutes:{end_ns:Int64}}}
    AND {{record_filter}}
    AND (cityHash64(trace_id) GLOBAL IN ({{traces_of_service}}) -- when thorough_service
        OR cityHash64(trace_id) GLOBAL NOT IN ( -- when thorough_service
            SELECT cityHash64(trace_id) FROM {database:Identifier}.trace_summary WHERE {{around:bucket}})) -- when thorough_service
    AND (source = 'span' OR {{record_is_joined}} = {joined:Bool}) -- when thorough_joined
    AND (value, start_ns) <= ({after_value:Int64}, {after_start_ns:Int64}) -- when after
