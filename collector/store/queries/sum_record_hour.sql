-- Sums up the gateway records of an hour by API; there are none in it that were made of spans.
{% from "macros/requests.sql" import counted_records, record_sums %}
INSERT INTO {database:Identifier}.record_hour
    (hour, gateway, api, revision, is_gone, seen, requests, squares, errors, refused, measured, open, durations)
SELECT
    toDateTime(intDiv({start_ns:Int64}, 1000000000)) AS hour, gateway, api, {revision:UInt64} AS revision, 0 AS is_gone,
    {seen:UInt64} AS seen,
    {{ record_sums() }}
FROM (
{{ counted_records("''") }}
)
GROUP BY gateway, api
