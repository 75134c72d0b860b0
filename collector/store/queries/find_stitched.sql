-- The stitched requests of some traces or with some ids, in the five minutes where they can be. Tier 4 is likelihood.
SELECT toUnixTimestamp(bucket) AS bucket_s, request_id, gateway, trace_id, weight, record_weight, stratum,
    place, start_ns, if(ifNull(join_tier, 0) = 4, ifNull(join_confidence, 0), 0) AS likely
FROM {database:Identifier}.request FINAL
WHERE bucket IN {buckets:Array(DateTime)}
    AND (trace_id IN {trace_ids:Array(String)} OR request_id IN {request_ids:Array(String)})
ORDER BY bucket, request_id
