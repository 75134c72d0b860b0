SELECT 1 AS found
FROM {database:Identifier}.request
WHERE bucket >= toStartOfFiveMinutes(toDateTime(intDiv({start_ns:Int64}, 1000000000))) AND bucket <= toStartOfFiveMinutes(toDateTime(intDiv({end_ns:Int64}, 1000000000)))
    AND start_ns >= {start_ns:Int64} AND start_ns < {end_ns:Int64}
    AND has(hop.service, {service:String})
ORDER BY found
LIMIT 1
