SELECT DISTINCT toUnixTimestamp(bucket) AS bucket_s
FROM {database:Identifier}.id_index
WHERE key IN {keys:Array(String)} AND trace_id = '' AND gateway = ''
ORDER BY bucket_s DESC
LIMIT {limit:UInt32}
