-- How far each source has been read, and by whom last.
SELECT workspace, table_name, holder, progress
FROM {database:Identifier}.pull_progress FINAL
ORDER BY workspace, table_name
LIMIT 10000
