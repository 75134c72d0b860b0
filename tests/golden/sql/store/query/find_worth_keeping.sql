SELECT toUnixTimestamp(bucket) AS bucket_s, trace_id, api
FROM {database:Identifier}.request FINAL
WHERE trace_id != '' AND (stratum != 'rest' OR place < {rest_below:UInt64})
    AND has({apis:Array(String)}, api) = {is_listed:Bool} AND bucket = (
    SELECT min(bucket)
    FROM {database:Identifier}.request
    WHERE bucket >= fromUnixTimestamp({from_s:UInt32}) AND bucket < fromUnixTimestamp({to_s:UInt32})
        AND trace_id != '' AND (stratum != 'rest' OR place < {rest_below:UInt64})
        AND has({apis:Array(String)}, api) = {is_listed:Bool}
    HAVING count() > 0
)
ORDER BY place
LIMIT 1 BY trace_id, api
LIMIT {limit:UInt32}
