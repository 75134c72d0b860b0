SELECT
    (SELECT count() FROM {database:Identifier}.gateway_record
     WHERE bucket >= toStartOfFiveMinutes(toDateTime(intDiv({start_ns:Int64}, 1000000000))) AND bucket <= toStartOfFiveMinutes(toDateTime(intDiv({end_ns:Int64}, 1000000000)))
        AND ({api:String} = '' OR api = {api:String})) AS records,
    (SELECT count() FROM {database:Identifier}.trace_summary
     WHERE bucket >= toStartOfFiveMinutes(toDateTime(intDiv({start_ns:Int64}, 1000000000))) AND bucket <= toStartOfFiveMinutes(toDateTime(intDiv({end_ns:Int64}, 1000000000)))) AS traces
