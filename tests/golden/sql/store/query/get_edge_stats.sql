SELECT
    caller, callee,
    if({by_operation:Bool} AND caller_kind = 'gateway', api, '') AS of_api,
    if({by_operation:Bool} AND caller_kind = 'gateway', operation, '') AS of_operation,
    count() AS seen, sum(weight) AS calls, sumIf(weight, failed) AS errors,
    quantilesTDigestWeightedIf(0.5, 0.95, 0.99)(ifNull(took_ns, 0), weight, isNotNull(took_ns)) AS durations,
    sum(weight * proxy) AS proxied_ns, sumIf(weight * took_ns, isNotNull(took_ns)) AS total_ns,
    sumIf(weight, tried > 1) AS retries, min(inferred) AS is_inferred, min(async) AS is_async,
    min(mirrored) AS is_mirrored, sumIf(weight, mirrored) AS copies
FROM {database:Identifier}.request FINAL
ARRAY JOIN
    hop.caller AS caller, hop.service AS callee, hop.duration_ns AS took_ns, hop.proxy_ns AS proxy,
    hop.is_error AS failed, hop.attempt AS tried, hop.is_inferred AS inferred, hop.is_async AS async,
    hop.is_mirrored AS mirrored, arrayMap(at -> if(at < 0, '', toString(hop.role[at + 1])), hop.parent) AS caller_kind
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
    AND callee != '' AND caller != ''
GROUP BY caller, callee, of_api, of_operation
ORDER BY calls DESC, caller, callee, of_api, of_operation
LIMIT {limit:UInt32}
SETTINGS do_not_merge_across_partitions_select_final = 1
