SELECT gateway, api, record_id, toUnixTimestamp(bucket) AS bucket_s, if(source = {span_source:String}, trace_id, '') AS own_trace
FROM {database:Identifier}.gateway_record
WHERE bucket >= toStartOfFiveMinutes(toDateTime(intDiv({start_ns:Int64}, 1000000000))) AND bucket <= toStartOfFiveMinutes(toDateTime(intDiv({end_ns:Int64}, 1000000000)))
    AND start_ns >= {start_ns:Int64} AND start_ns < {end_ns:Int64}
    AND NOT is_probe AND source NOT IN {side_sources:Array(String)} AND (source != {span_source:String} OR (
    (gateway, record_id) GLOBAL NOT IN (
        SELECT gateway, record_id FROM {database:Identifier}.gateway_record
        WHERE bucket >= toStartOfFiveMinutes(toDateTime(intDiv({start_ns:Int64}, 1000000000))) - 3600 AND bucket <= toStartOfFiveMinutes(toDateTime(intDiv({end_ns:Int64}, 1000000000))) + 3600 AND source != {span_source:String} AND gateway GLOBAL IN (
            SELECT gateway FROM {database:Identifier}.gateway_record WHERE bucket >= toStartOfFiveMinutes(toDateTime(intDiv({start_ns:Int64}, 1000000000))) - 3600 AND bucket <= toStartOfFiveMinutes(toDateTime(intDiv({end_ns:Int64}, 1000000000))) + 3600 AND source = {span_source:String}))
    AND (gateway, trace_id) GLOBAL NOT IN (
        SELECT gateway, trace_id FROM {database:Identifier}.gateway_record
        WHERE bucket >= toStartOfFiveMinutes(toDateTime(intDiv({start_ns:Int64}, 1000000000))) - 3600 AND bucket <= toStartOfFiveMinutes(toDateTime(intDiv({end_ns:Int64}, 1000000000))) + 3600 AND source != {span_source:String} AND trace_id != '' AND gateway GLOBAL IN (
            SELECT gateway FROM {database:Identifier}.gateway_record WHERE bucket >= toStartOfFiveMinutes(toDateTime(intDiv({start_ns:Int64}, 1000000000))) - 3600 AND bucket <= toStartOfFiveMinutes(toDateTime(intDiv({end_ns:Int64}, 1000000000))) + 3600 AND source = {span_source:String})))) AND (ifNull(attempts, 1) != 0 AND cache != 'hit')
    AND cityHash64(record_id) % {one_in:UInt32} = 0
ORDER BY cityHash64(record_id), gateway
LIMIT {each:UInt32} BY gateway, api
LIMIT {limit:UInt32}
