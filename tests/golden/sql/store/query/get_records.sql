SELECT
    record_json, received_ns
    , raw
FROM {database:Identifier}.gateway_record
WHERE (bucket, record_id, gateway) IN {keys:Array(Tuple(DateTime, String, String))}
    AND received_ns <= {received_until_ns:Int64}
