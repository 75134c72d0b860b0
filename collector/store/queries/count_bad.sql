-- How many requests of a range fit, and how many of them were bad, since each of some moments: failed, or slower
-- than a bound (-1: none). One reading for all of them.
{% from "macros/requests.sql" import counted_records, fits, in_range %}
SELECT
    sumForEach(arrayMap(since -> if(start_ns >= since, stands_for, 0), {since_ns:Array(Int64)})) AS requests,
    sumForEach(arrayMap(since -> if(start_ns >= since AND is_bad, stands_for, 0), {since_ns:Array(Int64)})) AS bad
FROM (
    SELECT
        start_ns, {% if stitched %}toFloat64(weight){% else %}stands_for{% endif %} AS stands_for,
        is_error OR {good_within_ns:Int64} != -1 AND ifNull(duration_ns, -1) > {good_within_ns:Int64} AS is_bad
    {% if stitched %}
    FROM {database:Identifier}.request FINAL
    WHERE {{ in_range() }} AND NOT is_probe AND {{ fits() }} AND has(services, {service:String})
    {% else %}
    FROM (
{{ counted_records("''") }}
    )
    WHERE {{ fits() }}
    {% endif %}
)
SETTINGS do_not_merge_across_partitions_select_final = 1
