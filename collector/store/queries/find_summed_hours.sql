-- Which hours of a range were summed up last with which revision, and how many rows they had then.
{% from "macros/requests.sql" import around, hour_of %}
SELECT {{ hour_of("hour") }} AS at, max(revision) AS newest, argMax(seen, revision)
FROM {database:Identifier}.record_hour
WHERE {{ around("hour") }}
GROUP BY at
ORDER BY at
