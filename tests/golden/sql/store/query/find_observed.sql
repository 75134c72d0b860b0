SELECT
    place, record_weight, request_id, weight, duration_ns, is_error, is_joined, gateway, instance, api, api_revision, operation, product, consumer,
    client, region, method, host, status, cache, policies, backend_host, error_reason, request_bytes, response_bytes, flags,
    retries, client_ns, gateway_ns, cache_ns, network_ns, edge_proxy_ns, mesh_proxy_ns, app_ns, dependency_ns, unexplained_ns,
    hop.role, hop.service, hop.operation, hop.pod, hop.node, hop.zone, hop.version, hop.upstream, hop.critical_ns, hop.flags
FROM {database:Identifier}.request FINAL
WHERE bucket >= toStartOfFiveMinutes(toDateTime(intDiv({start_ns:Int64}, 1000000000))) AND bucket <= toStartOfFiveMinutes(toDateTime(intDiv({end_ns:Int64}, 1000000000))) AND place <= {most:UInt64} AND NOT is_probe AND isNotNull(duration_ns) AND start_ns >= {start_ns:Int64} AND start_ns < {end_ns:Int64}
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
    AND ({max_duration_ns:Int64} = -1 OR ifNull(duration_ns, -1) BETWEEN 0 AND {max_duration_ns:Int64})
    AND ({service:String} = '' OR has(services, {service:String}))
ORDER BY place, request_id
LIMIT {limit:UInt32}
SETTINGS do_not_merge_across_partitions_select_final = 1
