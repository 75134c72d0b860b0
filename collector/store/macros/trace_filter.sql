-- RequestFilter over the edge span in trace_summary; see record_filter.
{{edge_start:place}} >= {start_ns:Int64} AND {{edge_start:place}} < {end_ns:Int64}
    AND ({route:String} = '' OR edge.route = {route:String})
    AND ({method:String} = '' OR edge.method = {method:String})
    AND ({host:String} = '' OR edge.host = {host:String})
    AND ({status:Int32} = -1 OR edge.status = {status:Int32})
    AND ({status_class:Int32} = -1 OR intDiv(edge.status, 100) = {status_class:Int32})
    AND ({error:Int32} = -1 OR edge.is_error = ({error:Int32} = 1))
    AND ({min_duration_ns:Int64} = -1 OR place.duration_ns >= {min_duration_ns:Int64})
    AND ({max_duration_ns:Int64} = -1 OR place.duration_ns <= {max_duration_ns:Int64})
    AND ({text:String} = '' OR arrayExists(
        t -> positionCaseInsensitiveUTF8(t, {text:String}) > 0, [edge.path, edge.route, edge.name]))
