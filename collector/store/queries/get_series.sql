-- How many gateway records of a range there were when, and how many of them failed, by gateway, API and up to
-- three other fields of gateway records, the busiest first: 24 columns of the same length in time.
-- A record that was delivered more than once counts once, as it came last.
{% from "macros/requests.sql" import counted_records, fits, group_key %}
SELECT
    gateway, api, key,
    sumResample(0, 24, 1)(stands_for, at), sumResample(0, 24, 1)(if(is_error, stands_for, 0), at)
FROM (
    SELECT *, intDiv((start_ns - {start_ns:Int64}) * 24, {end_ns:Int64} - {start_ns:Int64}) AS at
    FROM (
{{ counted_records(group_key(grouped)) }}
    )
)
WHERE {{ fits() }}
GROUP BY gateway, api, key
ORDER BY sum(stands_for) DESC, gateway, api, key
LIMIT {limit:UInt32}
