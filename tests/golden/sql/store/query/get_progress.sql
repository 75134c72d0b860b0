SELECT max(moment_ns) AS latest
FROM {database:Identifier}.progress
WHERE name = {work:String}
