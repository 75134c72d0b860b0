SELECT holder, progress, seen
FROM {database:Identifier}.pull_progress FINAL
WHERE workspace = {workspace:String} AND table_name = {table_name:String}
ORDER BY revision DESC
LIMIT 1
