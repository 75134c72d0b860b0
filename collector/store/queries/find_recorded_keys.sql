-- Which of some trace ids and request ids are carried by a gateway record. An id that many records
-- carry (a session's) says nothing about any of them.
SELECT key
FROM {database:Identifier}.id_index
WHERE key IN {keys:Array(String)} AND gateway != ''
GROUP BY key
HAVING uniq(gateway, record_id) <= {max_traces_of_id:UInt32}
ORDER BY key
