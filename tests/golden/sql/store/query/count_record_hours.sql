SELECT intDiv(toUnixTimestamp(bucket), 3600) AS hour, count() AS seen, countIf(source = {span_source:String}) > 0 AS has_spans
FROM {database:Identifier}.gateway_record
WHERE bucket >= toStartOfFiveMinutes(toDateTime(intDiv({start_ns:Int64}, 1000000000))) - 3600 AND bucket <= toStartOfFiveMinutes(toDateTime(intDiv({end_ns:Int64}, 1000000000))) + 3600
GROUP BY hour
ORDER BY hour
