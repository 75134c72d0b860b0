SELECT
    value.1 AS kind, value.2 AS of_gateway, value.3 AS subject, value.4 AS name, value.5 AS of,
    toUnixTimestamp(toStartOfInterval(bucket, toIntervalSecond({step_s:UInt32}))) AS step_begin_s,
    count() AS seen, sum(weight) AS requests, min(start_ns) AS first_ns, max(start_ns) AS last_ns,
    sum(count()) OVER (PARTITION BY kind, of_gateway, subject) AS seen_of_subject
FROM (
    SELECT bucket, weight, start_ns, arrayJoin(arrayConcat(
        if(gateway = '', [], [
            ('api', toString(gateway), toString(api), '-', ''),
            ('revision', toString(gateway), toString(api), toString(api_revision), ''),
            ('operation', toString(gateway), toString(api), toString(operation), ''),
            ('backend', toString(gateway), toString(api), toString(backend_host), ''),
            ('instance', toString(gateway), '', toString(instance), '')]),
        if(gateway = '', [], arrayMap(
            policy -> ('policy', toString(gateway), toString(api), toString(policy), ''), policies)),
        arrayDistinct(arrayMap(
            service -> ('service', '', toString(service), '-', ''), hop.service)),
        arrayDistinct(arrayMap(
            (service, version) -> ('version', '', toString(service), toString(version), ''),
            hop.service, hop.version)),
        arrayDistinct(arrayMap(
            (service, pod, version) -> ('pod', '', toString(service), toString(pod), toString(version)),
            hop.service, hop.pod, hop.version)),
        arrayDistinct(arrayMap(
            (service, node) -> ('node', '', toString(service), toString(node), ''),
            hop.service, hop.node)))) AS value
    FROM {database:Identifier}.request FINAL
    WHERE bucket >= toStartOfFiveMinutes(toDateTime(intDiv({start_ns:Int64}, 1000000000))) AND bucket <= toStartOfFiveMinutes(toDateTime(intDiv({end_ns:Int64}, 1000000000)))
        AND start_ns >= {start_ns:Int64} AND start_ns < {end_ns:Int64} AND NOT is_probe
        AND ({gateway:String} = '' OR gateway = {gateway:String}) AND ({api:String} = '' OR api = {api:String})
        AND ({service:String} = '' OR has(hop.service, {service:String}))
)
WHERE name != ''
GROUP BY kind, of_gateway, subject, name, of, step_begin_s
ORDER BY kind, seen_of_subject DESC, of_gateway, subject, name, of, step_begin_s
LIMIT {each:UInt32} + 1 BY kind
SETTINGS do_not_merge_across_partitions_select_final = 1
