-- Requests, errors and durations in a range by gateway, API and up to three other fields of gateway records.
-- A record that was delivered more than once counts once, as it came last: read in the table's order, with
-- no memory that grows with the range. 1 M records: 0.5 CPU-s, 0.3 of it where none were made of spans (`spans`).
-- `hours` are read as they were summed up: (hour since 1970, revision), and nothing else of them.
-- Durations that are no measurement stay out. Without `each`: of all together, in one row.
-- `effective`: so many records of equal weight tell as much.
{% from "macros/requests.sql" import counted_records, fits, group_key, hour_of, record_sums %}
SELECT
    {% if each %}gateway, api, key{% else %}'', '', emptyArrayString(){% endif %},
    sum(requests) AS all_requests, all_requests * all_requests / sum(squares) AS effective,
    sum(errors) AS all_errors, sum(refused) AS all_refused, sum(measured) AS all_measured, sum(open) AS all_open,
    quantilesTDigestWeightedIfMerge(
        0.5, 0.95, 0.99, 0.3, 0.4, 0.45, 0.475, 0.525, 0.55, 0.6, 0.7, 0.8, 0.85, 0.88, 0.9, 0.91, 0.92, 0.93, 0.94,
        0.96, 0.97, 0.98, 1.0
    )(durations) AS levels
FROM (
    SELECT gateway, api, key, {{ record_sums() }}
    FROM (
{{ counted_records(group_key(grouped), hours, spans) }}
    )
    WHERE {{ fits() }}
    GROUP BY gateway, api, key
    {% if hours %}
    UNION ALL
    SELECT gateway, api, emptyArrayString() AS key, requests, squares, errors, refused, measured, open, durations
    FROM {database:Identifier}.record_hour
    WHERE ({{ hour_of("hour") }}, revision) IN {summed:Array(Tuple(UInt32, UInt64))}
        AND ({gateway:String} = '' OR gateway = {gateway:String}) AND ({api:String} = '' OR api = {api:String})
    {% endif %}
)
{% if each %}
GROUP BY gateway, api, key
{% endif %}
ORDER BY all_requests DESC{% if each %}, gateway, api, key{% endif %}

LIMIT {limit:UInt32}
