-- Who called whom in the stitched requests of a range, weighed by how many requests each stands for.
-- `by_operation`: calls of a gateway are told apart by API and operation. Tries of a call are calls of their own.
{% from "macros/requests.sql" import fits, in_range %}
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
WHERE {{ in_range() }} AND NOT is_probe AND {{ fits() }} AND ({service:String} = '' OR has(services, {service:String}))
    AND callee != '' AND caller != ''
GROUP BY caller, callee, of_api, of_operation
ORDER BY calls DESC, caller, callee, of_api, of_operation
LIMIT {limit:UInt32}
SETTINGS do_not_merge_across_partitions_select_final = 1
