SELECT name, holder
FROM {database:Identifier}.lease FINAL
WHERE startsWith(name, {kind:String}) AND until_ns > toUnixTimestamp64Nano(now64(9))
ORDER BY name, since_ns, holder
LIMIT 1 BY name
