-- Where gateway_record keeps some records, found by their traces or by their own ids.
-- The keys are a subquery: with `IN arrayConcat(…)` the engine does not use the order of id_index and
-- reads all of it (1,028 of 1,028 granules at a million rows, 5 as it stands).
SELECT DISTINCT toUnixTimestamp(bucket) AS bucket_s, record_id, gateway
FROM {database:Identifier}.id_index
WHERE key IN (SELECT arrayJoin(arrayConcat(
        {trace_ids:Array(String)}, arrayMap(r -> {{request_id_key:r}}, {record_ids:Array(String)}))))
    AND record_id != ''
    AND (trace_id IN {trace_ids:Array(String)} OR (gateway, record_id) IN {record_keys:Array(Tuple(String, String))})
ORDER BY bucket_s, record_id, gateway
