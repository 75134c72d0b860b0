-- Requests, errors and durations in a range by gateway, API and up to three other fields of gateway records.
-- A record that was delivered more than once counts once, as it came last: read in the table's order, with
-- no memory that grows with the range. 1 M records: 0.35 CPU-s, the same as without; grouped by id 1 to 2.
-- Durations that are no measurement stay out. Without `each`: of all together, in one row.
-- `effective`: so many records of equal weight tell as much.
{% from "macros/requests.sql" import counted_records, fits, group_key %}
SELECT
    {% if each %}gateway, api, key{% else %}'', '', emptyArrayString(){% endif %},
    sum(stands_for) AS requests, requests * requests / sum(stands_for * stands_for) AS effective,
    sumIf(stands_for, is_error) AS errors,
    sumIf(stands_for, intDiv(ifNull(status, 0), 100) = 4) AS refused,
    countIf(is_measured) AS measured, sumIf(stands_for, is_open) AS open,
    quantilesTDigestWeightedIf(
        0.5, 0.95, 0.99, 0.3, 0.4, 0.45, 0.475, 0.525, 0.55, 0.6, 0.7, 0.8, 0.85, 0.88, 0.9, 0.91, 0.92, 0.93, 0.94,
        0.96, 0.97, 0.98, 1.0
    )(ifNull(duration_ns, 0), toUInt32(greatest(round(stands_for), 1)), is_measured) AS durations
FROM (
{{ counted_records(group_key(grouped)) }}
)
WHERE {{ fits() }}
{% if each %}
GROUP BY gateway, api, key
{% endif %}
ORDER BY requests DESC{% if each %}, gateway, api, key{% endif %}

LIMIT {limit:UInt32}
