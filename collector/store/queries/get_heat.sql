-- How many gateway records of a range took how long when: columns of the same length in time, two rows a
-- doubling of the duration in nanoseconds. A record that was delivered more than once counts once, as it came last.
{% from "macros/requests.sql" import counted_records, fits %}
SELECT
    intDiv((start_ns - {start_ns:Int64}) * {columns:Int64}, {end_ns:Int64} - {start_ns:Int64}) AS at,
    toInt32(floor(2 * log2(greatest(duration_ns, 1)))) AS row,
    sum(stands_for), sumIf(stands_for, is_error)
FROM (
{{ counted_records("''") }}
)
WHERE is_measured AND {{ fits() }}
GROUP BY at, row
ORDER BY at, row
