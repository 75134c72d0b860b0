-- What was loaded late since a moment, in the order of the loads.
SELECT loaded_ns, from_ns, to_ns
FROM {database:Identifier}.late_load
WHERE loaded_ns > {after_ns:Int64}
ORDER BY loaded_ns
LIMIT {limit:UInt32} WITH TIES
