-- How many gateway records of a range took how long when: columns of the same length in time, two rows a
-- doubling of the duration in nanoseconds. A record that was delivered more than once counts once, as it came last.
{% from "macros/requests.sql" import fits, in_range, record_is_answer, record_is_counted %}
SELECT
    intDiv((start_ns - {start_ns:Int64}) * {columns:Int64}, {end_ns:Int64} - {start_ns:Int64}) AS at,
    toInt32(floor(2 * log2(greatest(duration_ns, 1)))) AS row,
    sum(stands_for), sumIf(stands_for, is_error)
FROM (
    SELECT
        gateway, api, operation, route, method, host, consumer, api_revision, status, is_error, duration_ns, start_ns,
        greatest(weight, 1e-9) AS stands_for,
        isNotNull(duration_ns) AND {{ record_is_answer() }}
            AND NOT hasAny(quality, {unmeasured_flags:Array(String)}) AS is_measured
    FROM {database:Identifier}.gateway_record
    WHERE {{ in_range() }} AND start_ns >= {start_ns:Int64} AND start_ns < {end_ns:Int64}
        AND {{ record_is_counted() }}
    ORDER BY bucket, record_id, gateway, received_ns DESC
    LIMIT 1 BY bucket, record_id, gateway
)
WHERE is_measured AND {{ fits() }}
GROUP BY at, row
ORDER BY at, row
