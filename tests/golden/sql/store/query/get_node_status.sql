SELECT node, document
FROM {database:Identifier}.node_status FINAL
WHERE kind = {kind:String}
ORDER BY node
LIMIT 1000
