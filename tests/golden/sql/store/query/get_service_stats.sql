SELECT
    service, topK(1)(kind)[1] AS role, count() AS seen,
    sumIf(weight, is_first) AS requests, sum(weight) AS visits, sumIf(weight, failed) AS errors,
    quantilesTDigestWeightedIf(0.5, 0.95, 0.99)(ifNull(took_ns, 0), weight, isNotNull(took_ns)) AS durations,
    quantilesTDigestWeightedIf(0.5, 0.95)(ifNull(own_ns, 0), weight, isNotNull(own_ns)) AS own,
    sum(weight * critical) AS critical_ns, sum(weight * proxy) AS proxied_ns,
    sumIf(weight * took_ns, isNotNull(took_ns)) AS total_ns,
    sumIf(weight, tried > 1) AS retries, min(inferred) AS is_inferred,
    arraySort(groupUniqArrayIf(20)(pod, pod != '')) AS pods,
    arraySort(groupUniqArrayIf(20)(node, node != '')) AS nodes,
    arraySort(groupUniqArrayIf(20)(zone, zone != '')) AS zones,
    arraySort(groupUniqArrayIf(20)(version, version != '')) AS versions
FROM {database:Identifier}.request FINAL
ARRAY JOIN
    hop.service AS service, hop.role AS kind, hop.duration_ns AS took_ns, hop.self_ns AS own_ns,
    hop.critical_ns AS critical, hop.proxy_ns AS proxy, hop.is_error AS failed, hop.attempt AS tried,
    hop.is_inferred AS inferred, hop.pod AS pod, hop.node AS node, hop.zone AS zone, hop.version AS version,
    arrayMap((name, at) -> indexOf(hop.service, name) = at, hop.service, arrayEnumerate(hop.service)) AS is_first
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
    AND service != ''
GROUP BY service
ORDER BY visits DESC, service
LIMIT {limit:UInt32}
SETTINGS do_not_merge_across_partitions_select_final = 1
