SELECT
    count() AS stitched, sum(weight) AS requests, sumIf(weight, is_error) AS errors, countIf(isNotNull(duration_ns)) AS measured,
    quantilesTDigestWeightedIf(0.5, 0.95, 0.99)(ifNull(duration_ns, 0), weight, isNotNull(duration_ns)) AS durations,
    sumIf(weight, origin = 'record') AS recorded, sumIf(weight, isNotNull(open_ns)) AS open
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
    AND ({max_duration_ns:Int64} = -1 OR ifNull(duration_ns, -1) BETWEEN 0 AND {max_duration_ns:Int64}) AND ({service:String} = '' OR has(services, {service:String}))
SETTINGS do_not_merge_across_partitions_select_final = 1
