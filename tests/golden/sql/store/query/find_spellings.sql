SELECT {asked:String} AS name
FROM {database:Identifier}.gateway_record
WHERE bucket >= toStartOfFiveMinutes(toDateTime(intDiv({start_ns:Int64}, 1000000000))) AND bucket <= toStartOfFiveMinutes(toDateTime(intDiv({end_ns:Int64}, 1000000000)))
    AND start_ns >= {start_ns:Int64} AND start_ns < {end_ns:Int64}
    AND api = {asked:String}
ORDER BY name
LIMIT 1
