-- RequestFilter over the columns of gateway_record. What is said of answer_ns follows from the line before it, and
-- has an index.
start_ns >= {start_ns:Int64} AND start_ns < {end_ns:Int64}
    AND gateway = {gateway:String} -- when gateway
    AND api = {api:String} -- when api
    AND operation = {operation:String} -- when operation
    AND route = {route:String} -- when route
    AND method = {method:String} -- when method
    AND host = {host:String} -- when host
    AND consumer = {consumer:String} -- when consumer
    AND api_revision = {revision:String} -- when revision
    AND ifNull(status, -1) = {status:Int32} -- when status
    AND intDiv(ifNull(status, 0), 100) = {status_class:Int32} -- when status_class
    AND is_error = {error:Bool} -- when error
    AND ifNull(duration_ns, -1) >= {min_duration_ns:Int64} -- when min_duration_ns
    AND (answer_ns >= {min_duration_ns:Int64} OR answer_ns = -1) -- when min_duration_ns
    AND ifNull(duration_ns, 9223372036854775807) <= {max_duration_ns:Int64} -- when max_duration_ns
    AND (positionCaseInsensitiveUTF8(path, {text:String}) > 0 -- when text
        OR positionCaseInsensitiveUTF8(route, {text:String}) > 0 -- when text
        OR positionCaseInsensitiveUTF8(operation, {text:String}) > 0 -- when text
        OR positionCaseInsensitiveUTF8(api, {text:String}) > 0) -- when text
