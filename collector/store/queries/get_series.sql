-- How many gateway records of a range there were when, and how many of them failed, by gateway, API and up to
-- three other fields of gateway records, the busiest first: 24 columns of the same length in time.
-- A record that was delivered more than once counts once, as it came last.
{% from "macros/requests.sql" import fits, in_range, record_is_counted %}
SELECT
    gateway, api, key,
    sumResample(0, 24, 1)(stands_for, at), sumResample(0, 24, 1)(if(is_error, stands_for, 0), at)
FROM (
    SELECT
        gateway, api, operation, route, method, host, consumer, api_revision, status, is_error, duration_ns, start_ns,
        greatest(weight, 1e-9) AS stands_for,
        intDiv((start_ns - {start_ns:Int64}) * 24, {end_ns:Int64} - {start_ns:Int64}) AS at,
        {% if grouped %}[
            ifNull(toString({first:Identifier}), ''), ifNull(toString({second:Identifier}), ''),
            ifNull(toString({third:Identifier}), '')
        ]{% else %}emptyArrayString(){% endif %} AS key
    FROM {database:Identifier}.gateway_record
    WHERE {{ in_range() }} AND start_ns >= {start_ns:Int64} AND start_ns < {end_ns:Int64}
        AND {{ record_is_counted() }}
    ORDER BY bucket, record_id, gateway, received_ns DESC
    LIMIT 1 BY bucket, record_id, gateway
)
WHERE {{ fits() }}
GROUP BY gateway, api, key
ORDER BY sum(stands_for) DESC, gateway, api, key
LIMIT {limit:UInt32}
