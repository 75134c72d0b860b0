-- Where the time of stitched requests goes and which layer failed first, by gateway, API and up to three fields.
-- Times are of requests whose way is known: joined to their spans, or answered by the gateway itself.
{% from "macros/requests.sql" import fits, group_key, in_range %}
WITH ifNull(is_joined, true) AND isNotNull(duration_ns) AS is_known
SELECT
    gateway, api,
    {{ group_key(grouped) }} AS key,
    count() AS stitched, countIf(is_known) AS known,
    sumIf(weight, is_joined) AS joined, sumIf(weight, isNotNull(is_joined)) AS departed,
    sumIf(weight * duration_ns, is_known) AS total,
    [
        sumIf(weight * client_ns, is_known), sumIf(weight * (ifNull(gateway_ns, 0) + ifNull(cache_ns, 0)), is_known),
        sumIf(weight * network_ns, is_known),
        sumIf(weight * (ifNull(edge_proxy_ns, 0) + ifNull(mesh_proxy_ns, 0)), is_known),
        sumIf(weight * app_ns, is_known), sumIf(weight * dependency_ns, is_known),
        sumIf(weight * unexplained_ns, is_known)
    ] AS times,
    sumMapIf([toString(verdict_layer)], [toUInt64(weight)], is_error) AS layers
FROM {database:Identifier}.request FINAL
WHERE {{ in_range() }} AND NOT is_probe AND origin = 'record' AND {{ fits() }}
GROUP BY gateway, api, key
ORDER BY stitched DESC, gateway, api, key
LIMIT {limit:UInt32}
SETTINGS do_not_merge_across_partitions_select_final = 1
