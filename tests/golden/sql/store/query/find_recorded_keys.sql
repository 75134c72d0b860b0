SELECT key
FROM {database:Identifier}.id_index
WHERE key IN {keys:Array(String)} AND gateway != ''
GROUP BY key
HAVING uniq(gateway, record_id) <= {max_traces_of_id:UInt32}
ORDER BY key
