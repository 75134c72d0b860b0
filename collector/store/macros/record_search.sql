-- The gateway records of a search from its cursor on.
bucket >= {{five_minutes:{start_ns:Int64}}} AND bucket <= {{five_minutes:{end_ns:Int64}}}
    AND {{record_filter}}
    AND (trace_id = '' OR trace_id GLOBAL IN ({{traces_of_service}})) -- when service
    AND (source = 'span' OR {{record_is_joined}} = {joined:Bool}) -- when joined
    AND (value, start_ns) <= ({after_value:Int64}, {after_start_ns:Int64}) -- when after
