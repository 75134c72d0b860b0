-- Feeds source_stat from the data points of metrics, by service. How late a metric is, its newest point tells.
CREATE MATERIALIZED VIEW IF NOT EXISTS {{ database }}.source_stat_metric_mv {{ on_cluster }}
TO {{ database }}.source_stat{{ local }} AS
SELECT
    toStartOfHour(toDateTime(intDiv(max(received_ns), 1000000000))) AS bucket,
    'metric' AS stream,
    toString(service) AS source,
    sum(length(times)) AS rows,
    min(arrayMin(times)) AS first_event_ns,
    max(arrayMax(times)) AS last_event_ns,
    toInt64(max(received_ns)) AS last_received_ns,
    quantilesDDState(0.05, 0.5, 0.9, 0.99)(toInt64(received_ns) - arrayMax(times)) AS lag
FROM (
    SELECT
        resource['service.name'] AS service, received_ns,
        arrayFilter(at -> at > 0, arrayMap(at -> toInt64(at), arrayConcat(
            gauge.time_unix_nano, sum.time_unix_nano, histogram.time_unix_nano,
            exponential_histogram.time_unix_nano, summary.time_unix_nano))) AS times
    FROM {{ database }}.metric_part
)
WHERE notEmpty(times)
GROUP BY service
