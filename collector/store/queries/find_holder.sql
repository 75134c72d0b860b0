-- Of those who want to do a piece of work and are still there, the one who came first.
SELECT holder, toUnixTimestamp64Nano(now64(9)) - since_ns AS held_ns
FROM {database:Identifier}.lease FINAL
WHERE name = {work:String} AND until_ns > toUnixTimestamp64Nano(now64(9))
ORDER BY since_ns, holder
LIMIT 1
