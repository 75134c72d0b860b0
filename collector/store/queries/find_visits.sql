-- Requests of an API, or visits to a service, around a change, drawn by hash: how long each took and whether it
-- failed by itself. A visit's time is its own, without that of the calls it made; an error that one of its calls
-- had as well is not its own.
{% from "macros/requests.sql" import five_minutes %}
SELECT place, record_weight, start_ns, weight, took_ns, is_failed, has_value, request_id
FROM (
    SELECT
        start_ns, weight, record_weight, place, request_id,
        visit.1 AS took_ns, visit.2 AS is_failed, visit.3 AS has_value
    FROM (
        SELECT
            start_ns, weight, record_weight, place, request_id,
            arrayJoin(if({subject_service:String} = '',
                [(duration_ns, is_error, multiIf(
                    {kind:String} = 'revision', has({names:Array(String)}, toString(api_revision)),
                    {kind:String} = 'backend', has({names:Array(String)}, toString(backend_host)),
                    {kind:String} = 'instance', has({names:Array(String)}, toString(instance)),
                    {kind:String} = 'policy', hasAny(policies, {names:Array(String)}),
                    start_ns >= {middle_ns:Int64}))],
                arrayMap(
                    index -> (
                        ifNull(hop.self_ns[index], hop.duration_ns[index]),
                        hop.is_error[index]
                            AND NOT arrayExists((parent, failed) -> parent = index - 1 AND failed, hop.parent, hop.is_error),
                        multiIf(
                            {kind:String} = 'version', has({names:Array(String)}, toString(hop.version[index])),
                            {kind:String} = 'pod', has({names:Array(String)}, toString(hop.pod[index])),
                            {kind:String} = 'node', has({names:Array(String)}, toString(hop.node[index])),
                            start_ns >= {middle_ns:Int64})),
                    arrayFilter(
                        index -> hop.service[index] = {subject_service:String} AND NOT hop.is_mirrored[index],
                        arrayEnumerate(hop.service))))) AS visit
        FROM {database:Identifier}.request FINAL
        WHERE bucket >= {{ five_minutes("{start_ns:Int64}") }} AND bucket <= {{ five_minutes("{end_ns:Int64}") }}
            AND start_ns >= {start_ns:Int64} AND start_ns < {end_ns:Int64} AND NOT is_probe
            AND ({gateway:String} = '' OR gateway = {gateway:String}) AND ({api:String} = '' OR api = {api:String})
            AND ({subject_service:String} = '' OR has(hop.service, {subject_service:String}))
    )
)
ORDER BY place, request_id
LIMIT {limit:UInt32}
SETTINGS do_not_merge_across_partitions_select_final = 1
