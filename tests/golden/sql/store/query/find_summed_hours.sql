SELECT intDiv(toUnixTimestamp(hour), 3600) AS at, max(revision) AS newest, argMax(seen, revision)
FROM {database:Identifier}.record_hour
WHERE hour >= toStartOfFiveMinutes(toDateTime(intDiv({start_ns:Int64}, 1000000000))) - 3600 AND hour <= toStartOfFiveMinutes(toDateTime(intDiv({end_ns:Int64}, 1000000000))) + 3600
GROUP BY at
ORDER BY at
