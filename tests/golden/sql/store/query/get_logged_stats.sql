SELECT
    arrayJoin(all_services) AS name, count() * {one_of:UInt32} AS requests,
    countIf(first.is_error) * {one_of:UInt32} AS errors, countIf(first.longest <= 0) AS measured,
    quantilesIf(0.5, 0.95, 0.99)(-first.longest, first.longest <= 0) AS durations
FROM (
    SELECT key, min(edge) AS first, groupUniqArrayArray(services) AS all_services
    FROM {database:Identifier}.logged_request
    WHERE bucket >= toStartOfFiveMinutes(toDateTime(intDiv({start_ns:Int64}, 1000000000))) - 3600 AND bucket <= toStartOfFiveMinutes(toDateTime(intDiv({end_ns:Int64}, 1000000000))) + 3600 AND cityHash64(key) % {one_of:UInt32} = 0 AND key GLOBAL NOT IN (
        SELECT key FROM {database:Identifier}.logged_request ARRAY JOIN keys AS each
        WHERE bucket >= toStartOfFiveMinutes(toDateTime(intDiv({start_ns:Int64}, 1000000000))) - 3600 AND bucket <= toStartOfFiveMinutes(toDateTime(intDiv({end_ns:Int64}, 1000000000))) + 3600 AND cityHash64(key) % {one_of:UInt32} = 0
            AND cityHash64(each) GLOBAL IN (SELECT cityHash64(trace_id) FROM {database:Identifier}.trace_summary WHERE bucket >= toStartOfFiveMinutes(toDateTime(intDiv({start_ns:Int64}, 1000000000))) - 3600 AND bucket <= toStartOfFiveMinutes(toDateTime(intDiv({end_ns:Int64}, 1000000000))) + 3600
UNION ALL
SELECT cityHash64(key) AS hash FROM {database:Identifier}.id_index
WHERE bucket >= toStartOfFiveMinutes(toDateTime(intDiv({start_ns:Int64}, 1000000000))) - 3600 AND bucket <= toStartOfFiveMinutes(toDateTime(intDiv({end_ns:Int64}, 1000000000))) + 3600 AND gateway != ''
GROUP BY hash HAVING uniq(gateway, record_id) <= {max_traces_of_id:UInt32}
UNION ALL
SELECT cityHash64(key) FROM {database:Identifier}.id_index
WHERE bucket >= toStartOfFiveMinutes(toDateTime(intDiv({start_ns:Int64}, 1000000000))) - 3600 AND bucket <= toStartOfFiveMinutes(toDateTime(intDiv({end_ns:Int64}, 1000000000))) + 3600 AND gateway = '' AND trace_id != '' AND cityHash64(trace_id) GLOBAL IN (
    SELECT cityHash64(trace_id) FROM {database:Identifier}.trace_summary WHERE bucket >= toStartOfFiveMinutes(toDateTime(intDiv({start_ns:Int64}, 1000000000))) - 3600 AND bucket <= toStartOfFiveMinutes(toDateTime(intDiv({end_ns:Int64}, 1000000000))) + 3600)))
    GROUP BY key
)
WHERE first.start_ns >= {start_ns:Int64} AND first.start_ns < {end_ns:Int64}
    AND ({route:String} = '' OR first.path = {route:String})
    AND ({method:String} = '' OR first.method = {method:String})
    AND ({host:String} = '' OR lower(first.host) = {host:String})
    AND ({status:Int32} = -1 OR first.status = {status:Int32})
    AND ({status_class:Int32} = -1 OR intDiv(first.status, 100) = {status_class:Int32})
    AND ({is_error:Int8} = -1 OR first.is_error = ({is_error:Int8} = 1))
    AND ({service:String} = '' OR has(all_services, {service:String}))
GROUP BY name
ORDER BY requests DESC, name
LIMIT {limit:UInt32}
