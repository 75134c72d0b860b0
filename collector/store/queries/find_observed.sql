-- Stitched requests of a range that fit, in the order of their hashes: the same ones whenever it is asked.
{% from "macros/requests.sql" import fits, in_range %}
SELECT
    place, record_weight, request_id, weight, duration_ns, is_error, is_joined, gateway, instance, api, api_revision, operation, product, consumer,
    client, region, method, host, status, cache, policies, backend_host, error_reason, request_bytes, response_bytes, flags,
    retries, client_ns, gateway_ns, cache_ns, network_ns, edge_proxy_ns, mesh_proxy_ns, app_ns, dependency_ns, unexplained_ns,
    hop.role, hop.service, hop.operation, hop.pod, hop.node, hop.zone, hop.version, hop.upstream, hop.critical_ns, hop.flags
FROM {database:Identifier}.request FINAL
WHERE {{ in_range() }} AND place <= {most:UInt64} AND NOT is_probe AND isNotNull(duration_ns) AND {{ fits() }}
    AND ({service:String} = '' OR has(services, {service:String}))
ORDER BY place, request_id
LIMIT {limit:UInt32}
SETTINGS do_not_merge_across_partitions_select_final = 1
