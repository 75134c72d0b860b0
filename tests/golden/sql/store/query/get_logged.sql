SELECT
    key, min(edge) AS first, groupUniqArrayArray(keys) AS all_keys, groupUniqArrayArray(services) AS all_services,
    max(received_ns) AS received, groupUniqArray(toUnixTimestamp(bucket)) AS buckets
FROM {database:Identifier}.logged_request
WHERE (bucket, key) IN {keys:Array(Tuple(DateTime, String))}
GROUP BY key
ORDER BY key
