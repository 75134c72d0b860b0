-- How many rows gateway_record has of each hour of a range and of the hour around it, and whether there are records
-- that were made of spans among them.
{% from "macros/requests.sql" import around, hour_of %}
SELECT {{ hour_of("bucket") }} AS hour, count() AS seen, countIf(source = {span_source:String}) > 0 AS has_spans
FROM {database:Identifier}.gateway_record
WHERE {{ around("bucket") }}
GROUP BY hour
ORDER BY hour
