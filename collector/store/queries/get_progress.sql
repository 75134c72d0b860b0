-- How far a piece of background work has come: only ever further.
SELECT max(moment_ns) AS latest
FROM {database:Identifier}.progress
WHERE name = {work:String}
