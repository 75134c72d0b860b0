-- Requests, errors and durations of each API of each gateway in a range.
-- A record that was delivered twice is counted once by its id; its durations count as often as it came.
-- Durations that are no measurement stay out.
{% from "macros/requests.sql" import five_minutes, record_is_answer, record_is_counted %}
SELECT
    gateway, api, uniq(record_id) AS requests, uniqIf(record_id, is_error) AS errors,
    quantilesTDigestIf(0.5, 0.95, 0.99)(ifNull(duration_ns, 0), isNotNull(duration_ns) AND {{ record_is_answer() }}
        AND NOT hasAny(quality, {unmeasured_flags:Array(String)})) AS durations
FROM {database:Identifier}.gateway_record
WHERE bucket >= {{ five_minutes("{start_ns:Int64}") }} AND bucket <= {{ five_minutes("{end_ns:Int64}") }}
    AND start_ns >= {start_ns:Int64} AND start_ns < {end_ns:Int64}
    AND {{ record_is_counted() }}
GROUP BY gateway, api
ORDER BY requests DESC, gateway, api
LIMIT {limit:UInt32}
