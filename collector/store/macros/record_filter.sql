-- RequestFilter over the columns of gateway_record. A parameter that does not restrict is a constant,
-- so the engine drops its line and does not read the column.
start_ns >= {start_ns:Int64} AND start_ns < {end_ns:Int64}
    AND ({gateway:String} = '' OR gateway = {gateway:String})
    AND ({api:String} = '' OR api = {api:String})
    AND ({operation:String} = '' OR operation = {operation:String})
    AND ({route:String} = '' OR route = {route:String})
    AND ({method:String} = '' OR method = {method:String})
    AND ({host:String} = '' OR host = {host:String})
    AND ({consumer:String} = '' OR consumer = {consumer:String})
    AND ({revision:String} = '' OR api_revision = {revision:String})
    AND ({status:Int32} = -1 OR ifNull(status, -1) = {status:Int32})
    AND ({status_class:Int32} = -1 OR intDiv(ifNull(status, 0), 100) = {status_class:Int32})
    AND ({error:Int32} = -1 OR is_error = ({error:Int32} = 1))
    AND ({min_duration_ns:Int64} = -1 OR ifNull(duration_ns, -1) >= {min_duration_ns:Int64})
    AND ({max_duration_ns:Int64} = -1 OR ifNull(duration_ns, 9223372036854775807) <= {max_duration_ns:Int64})
    AND ({text:String} = '' OR arrayExists(
        t -> positionCaseInsensitiveUTF8(t, {text:String}) > 0,
        [path, toString(route), toString(operation), toString(api)]))
