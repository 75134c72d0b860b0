-- RequestFilter over the edge span in trace_summary; see record_filter.
{{edge_start:place}} >= {start_ns:Int64} AND {{edge_start:place}} < {end_ns:Int64}
    AND edge.route = {route:String} -- when route
    AND edge.method = {method:String} -- when method
    AND edge.host = {host:String} -- when host
    AND edge.status = {status:Int32} -- when status
    AND intDiv(edge.status, 100) = {status_class:Int32} -- when status_class
    AND edge.is_error = {error:Bool} -- when error
    AND place.duration_ns >= {min_duration_ns:Int64} -- when min_duration_ns
    AND place.duration_ns <= {max_duration_ns:Int64} -- when max_duration_ns
    AND (positionCaseInsensitiveUTF8(edge.path, {text:String}) > 0 -- when text
        OR positionCaseInsensitiveUTF8(edge.route, {text:String}) > 0 -- when text
        OR positionCaseInsensitiveUTF8(edge.name, {text:String}) > 0) -- when text
