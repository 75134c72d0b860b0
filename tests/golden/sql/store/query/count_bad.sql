SELECT
    sumForEach(arrayMap(since -> if(start_ns >= since, stands_for, 0), {since_ns:Array(Int64)})) AS requests,
    sumForEach(arrayMap(since -> if(start_ns >= since AND is_bad, stands_for, 0), {since_ns:Array(Int64)})) AS bad
FROM (
    SELECT
        start_ns, toFloat64(weight) AS stands_for,
        is_error OR {good_within_ns:Int64} != -1 AND ifNull(duration_ns, -1) > {good_within_ns:Int64} AS is_bad
    FROM {database:Identifier}.request FINAL
    WHERE bucket >= toStartOfFiveMinutes(toDateTime(intDiv({start_ns:Int64}, 1000000000))) AND bucket <= toStartOfFiveMinutes(toDateTime(intDiv({end_ns:Int64}, 1000000000))) AND NOT is_probe AND start_ns >= {start_ns:Int64} AND start_ns < {end_ns:Int64}
    AND ({gateway:String} = '' OR gateway = {gateway:String})
    AND ({api:String} = '' OR api = {api:String})
    AND ({operation:String} = '' OR operation = {operation:String})
    AND ({route:String} = '' OR route = {route:String})
    AND ({method:String} = '' OR method = {method:String})
    AND ({host:String} = '' OR lower(host) = {host:String})
    AND ({consumer:String} = '' OR consumer = {consumer:String})
    AND ({revision:String} = '' OR api_revision = {revision:String})
    AND ({status:Int32} = -1 OR ifNull(status, 0) = {status:Int32})
    AND ({status_class:Int32} = -1 OR intDiv(ifNull(status, 0), 100) = {status_class:Int32})
    AND ({is_error:Int8} = -1 OR is_error = ({is_error:Int8} = 1))
    AND ({min_duration_ns:Int64} = -1 OR ifNull(duration_ns, -1) >= {min_duration_ns:Int64})
    AND ({max_duration_ns:Int64} = -1 OR ifNull(duration_ns, -1) BETWEEN 0 AND {max_duration_ns:Int64}) AND has(services, {service:String})
)
SETTINGS do_not_merge_across_partitions_select_final = 1
