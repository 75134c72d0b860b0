"""
Statements that try to read or write what they may not: known tricks, and ten thousand made ones.

A statement has a payload (what reaches outside), a position in which it stands, and a disguise. What
the payloads reach for is a trap: files in a folder, an HTTP port, a table of another database.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

SECRET = "moonwort-7c1e"
"""What lies in the traps. No answer may have it."""


@dataclass(frozen=True, slots=True)
class Traps:
    """Where the traps are, and the table functions and formats that the engine has."""

    folder: str
    url: str
    table: str
    table_functions: Sequence[str]

    @property
    def file(self) -> str:
        return f"{self.folder}/secret.csv"


def known_tricks(traps: Traps) -> list[str]:
    """Return the tricks that people know, as they are."""
    return [each.format(**_words(traps)) for each in _TRICKS]


def made_statements(traps: Traps, count: int, seed: int) -> Iterator[str]:
    """Yield *count* statements, the same for the same seed."""
    chance = random.Random(seed)
    words = _words(traps)
    scalars = [each.format(**words) for each in _SCALARS]
    tables = [each.format(**words) for each in _TABLES]
    for name in traps.table_functions:
        tables.append(f"{name}({chance.choice(_ARGUMENTS).format(**words)})")
    for _ in range(count):
        if chance.random() < 0.5:
            made = chance.choice(_AROUND_SCALARS).replace("@", chance.choice(scalars))
        else:
            made = chance.choice(_AROUND_TABLES).replace("@", chance.choice(tables))
        for _ in range(chance.randrange(3)):
            made = chance.choice(_AROUND_STATEMENTS).replace("@", made)
        made += chance.choice(_ENDS).format(**words)
        yield _disguised(made, chance)


def _words(traps: Traps) -> dict[str, str]:
    return {"file": traps.file, "folder": traps.folder, "url": traps.url, "table": traps.table}


def _disguised(sql: str, chance: random.Random) -> str:
    for disguise in chance.sample(_DISGUISES, chance.randrange(3)):
        sql = disguise(sql, chance)
    return sql


def _with_comments(sql: str, chance: random.Random) -> str:
    comment = chance.choice(("/**/", "/* ; */", "-- x\n", "#! x\n", "/*/*nested*/*/", "\n--'\n"))
    return sql.replace(" ", f" {comment} ", chance.randrange(1, 6))


def _with_blanks(sql: str, chance: random.Random) -> str:
    blank = chance.choice(
        ("\t", "\n", "\u00a0", "\u2003", "\ufeff", "\v", "\f", "\r\n", "\0", "\u200b")
    )
    return sql.replace(" ", blank, chance.randrange(1, 6))


def _with_case(sql: str, chance: random.Random) -> str:
    return "".join(chance.choice((each.upper(), each.lower())) for each in sql)


def _with_quoted_names(sql: str, chance: random.Random) -> str:
    left, right = chance.choice(("``", '""', "“”"))
    for name in ("file", "url", "s3", "remote", "system", "users", "secret", "merge", "executable"):
        sql = sql.replace(f"{name}(", f"{left}{name}{right}(").replace(
            f"{name}.", f"{left}{name}{right}."
        )
    return sql


def _with_other_strings(sql: str, chance: random.Random) -> str:
    left, right = chance.choice((("$$", "$$"), ("$q$", "$q$"), ("‘", "’"), ("'\\x2f", "'")))
    parts = sql.split("'")
    if len(parts) < 3:
        return sql
    return parts[0] + left + parts[1] + right + "'".join(parts[2:])


def _with_second_statement(sql: str, chance: random.Random) -> str:
    return chance.choice(
        (f"SELECT 1; {sql}", f"{sql};", f"SELECT 1;;{sql}", f"SELECT 1 -- ;\n;{sql}")
    )


def _with_odd_bytes(sql: str, chance: random.Random) -> str:
    at = chance.randrange(len(sql))
    return (
        sql[:at] + chance.choice(("\0", "\\", "'", "`", "\ud7ff", ")", "(", "\x1a", "é")) + sql[at:]
    )


def _with_odd_alias(sql: str, chance: random.Random) -> str:
    alias = chance.choice((
        "`x (children 1)`", "`x\\n Literal 1`", "`x) FORMAT JSON`", "`a\\n   Function plus (children 1)`",
        "`SETTINGS readonly = 0`", "`') --`",
    ))  # fmt: skip
    return sql.replace("SELECT 1", f"SELECT 1 AS {alias}", 1)


_DISGUISES = (
    _with_comments, _with_blanks, _with_case, _with_quoted_names, _with_other_strings,
    _with_second_statement, _with_odd_bytes, _with_odd_alias,
)  # fmt: skip

_ARGUMENTS = (
    "'{file}', 'CSV', 'a String'", "'{file}'", "'{url}', 'CSV', 'a String'", "'{url}'",
    "'127.0.0.1:9', 'system', 'one'", "'127.0.0.1:9', 'd', 't', 'u', 'p'", "{table}",
    "'secret', 'rows'", "'default', '.*'", "CSV, '{file}'", "(SELECT * FROM {table})",
    "'SELECT * FROM {table}'", "SELECT * FROM {table}", "currentDatabase(), '.*'", "",
    "'cat {file}', 'TSV', 'a String'", "'{folder}'", "secret, rows",
)  # fmt: skip

_SCALARS = (
    "file('{file}')", "file('{file}', 'x')", "FILE('{file}')", "`file`('{file}')",
    "(SELECT groupArray(c1) FROM file('{file}', 'CSV'))", "dictGet('secret.dictionary', 'a', 1)",
    "dictGetOrDefault('{table}', 'a', 1, 'x')", "dictHas('secret.dictionary', 1)",
    "joinGet('{table}', 'a', 1)", "joinGetOrNull('{table}', 'a', 1)",
    "hasColumnInTable('secret', 'rows', 'a')", "sleep(3)", "sleepEachRow(3)",
    "getSetting('max_threads')", "getServerSetting('path')", "getMacro('shard')", "hostName() || file('{file}')",
    "filesystemAvailable()", "filesystemCapacity('default')", "FQDN()", "getOSKernelVersion()",
    "showCertificate()", "addressToLine(1)", "demangle('x')", "logTrace('x')", "reverseDNSQuery('localhost')",
    "chdb('SELECT * FROM {table}')", "aiGenerate('x')", "AIGenerate('x')", "evalMLMethod(1)",
    "catboostEvaluate('{file}', 1)", "initializeAggregation('sumState', 1)",
    "arrayReduce('groupArray', [file('{file}')])", "arrayMap(x -> file(x), ['{file}'])",
    "arrayFold((a, x) -> file(x), ['{file}'], '')", "if(1, file('{file}'), '')",
    "CASE WHEN 1 THEN file('{file}') END", "formatRow('Protobuf', 1)",
    "structureToCapnProtoSchema('a String')", "serverUUID()", "currentProfiles()",
    "CAST(unhex('00'), 'AggregateFunction(uniq, UInt64)')",
    "finalizeAggregation(CAST('x', concat('Aggregate', 'Function(sum, UInt8)')))",
    "finalizeAggregation(CAST(unhex('05'), '`AggregateFunction`(count)'))",
    "finalizeAggregation(CAST(unhex('05'), 'AggregateFunction/**/(count)'))",
    "finalizeAggregation(unhex('05')::`AggregateFunction`(count))",
    "finalizeAggregation(CAST(unhex('05'), 'AggregateFunction--x\\n(count)'))",
    "finalizeAggregation(CAST(unhex('05'), '`Aggregate\\\\x46unction`(count)'))",
    "finalizeAggregation(CAST(unhex('05'), '\"AggregateFunction\"(count)'))",
    "(SELECT count() FROM {table})", "exists(SELECT * FROM {table})", "1 IN {table}", "'x' IN (SELECT a FROM {table})",
    "'x' GLOBAL NOT IN {table}", "(1, 2) IN (secret.rows)", "'x' = ANY(SELECT a FROM {table})",
    "tuple(file('{file}')).1", "[file('{file}')][1]", "map('a', file('{file}'))['a']",
    "zookeeperSessionUptime()", "getClientHTTPHeader('Authorization')", "connectionId()",
    "throwIf(1, file('{file}'))", "materialize(file('{file}'))", "identity(file('{file}'))::String",
    "lemmatize('en', 'x')", "synonyms('x', 'y')", "regionToName(toUInt32(1))",
    "transform(file('{file}'), ['a'], ['b'], 'c')", "COLUMNS('.*') APPLY(file)", "* APPLY(x -> file(x))",
    "{{x:Identifier}}", "@@hostname", "globalVariable('max_allowed_packet')",
)  # fmt: skip

_TABLES = (
    "file('{file}', 'CSV', 'a String')", "file('{file}')", "File('{file}', CSV)", "`file`('{file}', LineAsString)",
    "'{file}'", "`{file}`", '"{file}"', "default.`{file}`", "filesystem('{folder}')", "fileCluster('x', '{file}')",
    "url('{url}', 'CSV', 'a String')", "URL('{url}')", "url('file://{file}', LineAsString)", "urlCluster('x', '{url}')",
    "s3('{url}/b', 'CSV')", "gcs('{url}/b')", "hdfs('hdfs://127.0.0.1:9/x')", "azureBlobStorage('{url}', 'c', 'b')",
    "remote('127.0.0.1', {table})", "remote('127.0.0.1:9', 'secret', 'rows')", "remoteSecure('127.0.0.1', secret.rows)",
    "cluster('default', secret.rows)", "clusterAllReplicas('default', secret, rows)",
    "mysql('127.0.0.1:9', 'd', 't', 'u', 'p')", "postgresql('127.0.0.1:9', 'd', 't', 'u', 'p')",
    "mongodb('127.0.0.1:9', 'd', 'c', 'u', 'p', 'a String')", "redis('127.0.0.1:9', 'k', 'k String')",
    "sqlite('{folder}/secret.db', 't')", "jdbc('x', 'y')", "odbc('x', 'y')", "executable('x.sh', TSV, 'a String')",
    "input('a String')", "dictionary('secret.dictionary')", "merge('secret', '.*')", "merge('.*', '.*')", "merge('^s')",
    "view(SELECT * FROM {table})", "viewIfPermitted(SELECT * FROM {table} ELSE null('a String'))",
    "viewExplain('EXPLAIN', '', (SELECT * FROM {table}))", "(EXPLAIN SELECT * FROM {table})",
    "loop({table})", "mergeTreeIndex('secret', 'rows')", "eval('SELECT * FROM {table}')", "python('x')", "Python(os)",
    "iceberg('{url}')", "deltaLake('{url}')", "icebergLocal('{folder}')", "deltaLakeLocal('{folder}')", "hudi('{url}')",
    "{table}", "secret.rows", "`secret`.`rows`", '"secret"."rows"', "secret . rows", "SECRET.ROWS",
    "system.users", "system.processes", "system.query_log", "system.disks", "system.zookeeper", "system.macros",
    "system.grants", "system.clusters", "system.remote_data_paths", "system.parts", "system.text_log",
    "system.stack_trace", "system.named_collections", "system.dictionaries", "information_schema.tables",
    "INFORMATION_SCHEMA.COLUMNS", "trace_summary", "hopline.trace_summary", "hopline.landing_trace",
    "format(CSV, '{file}')", "generateRandom('a String')", "fuzzJSON('x')", "timeSeriesData('x')",
    "prometheusQuery('x', 'up', now())", "null(file('{file}'))", "numbers((SELECT count() FROM {table}))",
    "(SELECT * FROM file('{file}', 'CSV', 'a String'))", "(SELECT a FROM {table} UNION ALL SELECT '1')",
    "zeros(1) AS z ARRAY JOIN [file('{file}')] AS a", "VALUES('a AggregateFunction(uniq, UInt8)', unhex('00'))",
)  # fmt: skip

_AROUND_SCALARS = (
    "SELECT @", "SELECT 1 WHERE @ = '1'", "SELECT 1 FROM numbers(1) PREWHERE @ != ''",
    "WITH @ AS x SELECT x", "WITH (SELECT @) AS x SELECT x", "SELECT arrayMap(y -> @, [1])",
    "SELECT count() FROM numbers(2) GROUP BY @", "SELECT 1 ORDER BY @", "SELECT 1 LIMIT length(@)",
    "SELECT 1 HAVING @ = ''", "SELECT 1 FROM numbers(1) AS a JOIN numbers(1) AS b ON toString(a.number) = @",
    "SELECT sum(1) OVER (PARTITION BY @)", "SELECT 1 FROM numbers(1) ARRAY JOIN [@] AS q",
    "SELECT if(0, 1, @)", "SELECT 1 QUALIFY @ = ''", "SELECT quantile(0.5)(length(@))",
    "SELECT * REPLACE (@ AS number) FROM numbers(1)", "SELECT 1 ORDER BY 1 WITH FILL FROM 1 TO length(@)",
    "SELECT * FROM numbers(length(@))", "SELECT * FROM values('a String', @)", "DESCRIBE (SELECT @)",
    "SELECT 1 UNION ALL SELECT @", "SELECT 1 EXCEPT SELECT @", "SELECT (SELECT (SELECT @))",
    "SELECT @ AS `count(children 1)`", "SELECT DISTINCT ON (@) 1", "SELECT 1 LIMIT 1 BY @",
    "EXPLAIN SELECT @", "EXPLAIN QUERY TREE SELECT @", "SELECT @ INTO OUTFILE '/dev/null'",
    "SELECT CAST(@ AS String)", "SELECT [x for x in [@]]", "SELECT count() FILTER (WHERE @ = '')",
    "SELECT 1 AS a, a + length(@) AS b", "WITH x -> @ AS f SELECT f(1)", "WITH RECURSIVE t AS (SELECT @) SELECT * FROM t",
    "SELECT 1 WINDOW w AS (ORDER BY @)", "SELECT 1 SETTINGS max_threads = @",
)  # fmt: skip

_AROUND_TABLES = (
    "SELECT * FROM @", "SELECT count() FROM @", "FROM @ SELECT *", "DESCRIBE TABLE @", "DESC @", "TABLE @",
    "SELECT * FROM (SELECT * FROM @)", "WITH x AS (SELECT * FROM @) SELECT * FROM x",
    "SELECT 1 WHERE 'x' IN (SELECT * FROM @)", "SELECT 1 WHERE 'x' IN @",
    "SELECT * FROM numbers(1) AS a CROSS JOIN @ AS b", "SELECT * FROM numbers(1), @",
    "SELECT * FROM numbers(1) AS a ANY LEFT JOIN @ AS b ON 1 = 1", "SELECT * FROM @ FINAL", "SELECT * FROM @ SAMPLE 1",
    "SELECT (SELECT any(tuple(*)) FROM @)", "SELECT exists(SELECT 1 FROM @)", "SELECT 1 UNION ALL SELECT * FROM @",
    "SELECT * FROM @ AS hopline", "EXISTS TABLE @", "SHOW CREATE TABLE @", "SHOW COLUMNS FROM @", "CHECK TABLE @",
    "EXPLAIN AST SELECT * FROM @", "EXPLAIN ESTIMATE SELECT * FROM @", "INSERT INTO @ SELECT 1",
    "INSERT INTO FUNCTION @ SELECT 1", "CREATE VIEW hopline.v AS SELECT * FROM @", "OPTIMIZE TABLE @", "DROP TABLE @",
    "CREATE TABLE hopline.t AS @", "SELECT * FROM hopline.otel_traces WHERE TraceId GLOBAL IN @", "TRUNCATE TABLE @",
    "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n FROM r, @) SELECT * FROM r", "SELECT * FROM @ PARALLEL WITH SELECT 1",
    "SELECT 1 FROM numbers(1) WHERE (SELECT count() FROM @) > 0", "SELECT @.* FROM @", "(SELECT * FROM @)",
)  # fmt: skip

_AROUND_STATEMENTS = (
    "@", "SELECT * FROM (@)", "WITH q AS (@) SELECT * FROM q", "SELECT (@)", "SELECT 1 UNION ALL @", "(@)",
    "SELECT 1 WHERE 1 IN (@)", "EXPLAIN @", "DESCRIBE (@)", "EXECUTE AS default @", "SELECT * FROM view(@)",
)  # fmt: skip

_ENDS = (
    "", "", "", "", "", ";", " FORMAT Null", " FORMAT Template", " FORMAT JSON SETTINGS readonly = 0",
    " INTO OUTFILE '{folder}/out.csv'", " INTO OUTFILE '{folder}/out.csv' TRUNCATE FORMAT CSV",
    " INTO OUTFILE '{folder}/out' AND STDOUT", " SETTINGS limit = 1", " SETTINGS offset = 1",
    " SETTINGS additional_result_filter = 'explain NOT LIKE \\'%Function%\\''", " SETTINGS allow_ddl = 1",
    " SETTINGS additional_table_filters = {{}}", " SETTINGS format_template_row = '{file}' FORMAT Template",
    " FORMAT Template SETTINGS format_template_resultset = '{file}'", " SETTINGS format_schema = '{file}'",
    " FORMAT Protobuf SETTINGS format_schema = '{file}:x'", " SETTINGS log_queries = 1",
    " SETTINGS max_execution_time = 0", " SETTINGS use_hive_partitioning = 1", " LIMIT 1 SETTINGS limit = 2",
)  # fmt: skip

_TRICKS = (
    "SELECT 1 INTO OUTFILE '{folder}/out.csv'",
    "SELECT 1 INTO OUTFILE '{folder}/out.csv' APPEND",
    "select 1 into/**/outfile '{folder}/out.csv'",
    "SELECT 1 INTO OUTFILE '{folder}/out.gz' COMPRESSION 'gzip' LEVEL 1 FORMAT CSV",
    "INSERT INTO hopline.otel_traces FROM INFILE '{file}' FORMAT CSV",
    "INSERT INTO FUNCTION file('{folder}/out.csv', 'CSV', 'a String') VALUES ('x')",
    "INSERT INTO FUNCTION url('{url}', 'CSV', 'a String') SELECT 'x'",
    "INSERT INTO TABLE FUNCTION remote('127.0.0.1', secret.rows) SELECT 'x'",
    "KILL QUERY WHERE 1", "KILL MUTATION WHERE 1", "SET readonly = 0", "SET allow_ddl = 1", "USE secret",
    "SYSTEM SHUTDOWN", "SYSTEM RELOAD CONFIG", "SYSTEM FLUSH LOGS", "SYSTEM STOP MERGES", "SYSTEM DROP MARK CACHE",
    "BACKUP DATABASE hopline TO File('{folder}/backup')", "BACKUP TABLE hopline.otel_traces TO S3('{url}')",
    "RESTORE ALL FROM File('{folder}/backup')", "BACKUP ALL TO Disk('default', 'x')",
    "CREATE TABLE hopline.t (a String) ENGINE = File(CSV, '{file}')", "CREATE TABLE t ENGINE = URL('{url}', CSV)",
    "CREATE DATABASE d ENGINE = Filesystem('{folder}')", "CREATE DATABASE d ENGINE = SQLite('{folder}/x.db')",
    "CREATE TEMPORARY TABLE t (a String)", "CREATE TEMPORARY TABLE t AS SELECT * FROM file('{file}')",
    "CREATE DICTIONARY d (a UInt64) PRIMARY KEY a SOURCE(FILE(path '{file}' format 'CSV')) LAYOUT(FLAT()) LIFETIME(1)",
    "CREATE FUNCTION f AS x -> file(x)", "CREATE USER u", "GRANT ALL ON *.* TO default", "ALTER USER default",
    "CREATE NAMED COLLECTION c AS url = '{url}'", "ALTER TABLE hopline.otel_traces DELETE WHERE 1",
    "DELETE FROM hopline.otel_traces WHERE 1", "UPDATE hopline.otel_traces SET TraceId = ''", "RENAME TABLE a TO b",
    "DETACH TABLE hopline.otel_traces", "ATTACH TABLE t FROM '{folder}' (a String) ENGINE = Log", "UNDROP TABLE t",
    "EXCHANGE TABLES a AND b", "MOVE USER a TO b", "WATCH v", "COPY t TO '{file}'", "BEGIN TRANSACTION", "COMMIT",
    "EXECUTE AS default SELECT * FROM {table}", "PREPARE x AS SELECT 1", "EXPLAIN AST INSERT INTO t VALUES (1)",
    "SHOW PROCESSLIST", "SHOW GRANTS", "SHOW USERS", "SHOW ACCESS", "SHOW CREATE USER default", "SHOW TABLES FROM secret",
    "SHOW CREATE TABLE {table}", "SHOW COLUMNS FROM rows FROM secret", "SHOW INDEX FROM {table}", "SHOW CLUSTERS",
    "SHOW FILESYSTEM CACHES", "SHOW SETTING max_threads", "SHOW ENGINES", "SHOW DICTIONARIES FROM secret",
    "EXISTS TABLE {table}", "EXISTS DATABASE secret", "EXISTS DICTIONARY secret.dictionary", "DESCRIBE {table}",
    "SELECT * FROM system.tables", "SELECT data_paths FROM system.tables", "SELECT t.metadata_path FROM system.tables AS t",
    "SELECT COLUMNS('path') FROM system.tables", "SELECT x.* FROM system.databases AS x", "SELECT * EXCEPT name FROM system.databases",
    "WITH q AS (SELECT * FROM system.tables) SELECT * FROM q", "SELECT count() FROM (SELECT * FROM system.tables)",
    "DESCRIBE TABLE url('{url}')", "DESCRIBE TABLE file('{file}')", "DESCRIBE (SELECT * FROM s3('{url}'))",
    "SELECT 1\0; SELECT * FROM {table}", "SELECT 1 /* */; SELECT * FROM {table}", "SELECT '\\'; SELECT * FROM {table} --'",
    "SELECT $$ $$; SELECT * FROM {table}", "SELECT 1 -- \\\n; DROP TABLE hopline.otel_traces",
    "SELECT `a`` ; SELECT * FROM {table}", "SELECT 1 FORMAT CSV; INSERT INTO t VALUES", "SELECT 1 FORMAT VALUES ('a')",
    "WITH secret AS (SELECT 1) SELECT * FROM secret.rows", "WITH rows AS (SELECT 1) SELECT * FROM secret.rows",
    "SELECT * FROM (SELECT 1) AS secret, secret.rows", "SELECT secret.rows.a FROM secret.rows", "SELECT a IN (secret.rows) FROM (SELECT 'x' AS a)",
    "SELECT * FROM hopline.otel_traces AS t WHERE t.TraceId IN secret.rows",
    "SELECT 1 AS x FROM numbers(1) WHERE x IN `secret`.rows", "SELECT * FROM merge(currentDatabase(), '.*')",
    "SELECT * FROM merge(REGEXP('.*'), '.*')", "SELECT dictGet('secret.dictionary', 'a', toUInt64(1))",
    "SELECT * FROM executable('cat {file}', TSV, 'a String')", "SELECT * FROM input('a String') FORMAT CSV\n1",
    "SELECT * FROM hopline.otel_traces SETTINGS additional_table_filters = {{'hopline.otel_traces': '1'}}",
    "SELECT file(arrayStringConcat(['{file}']))", "SELECT file(reverse(reverse('{file}')))", "SELECT file({{path:String}})",
    "SELECT 1 SETTINGS output_format_schema = '{folder}/out'", "SELECT 1 FORMAT Npy", "SELECT 1 FORMAT MySQLWire",
    "SELECT 1 SETTINGS log_comment = '{file}', query_cache_ttl = 1, use_query_cache = 1",
    "SELECT 1 SETTINGS rename_files_after_processing = 'x'", "SELECT * FROM url('{url}', CSV, 'a String', headers('a'='b'))",
    "SELECT * FROM urlCluster('default', '{url}', CSV)", "SELECT 1 UNION ALL (SELECT 2 INTO OUTFILE '{folder}/out')",
    "SELECT\u00a01\u2003INTO OUTFILE '{folder}/out.csv'", "ＳＥＬＥＣＴ file('{file}')", "SELECT fi\u200ble('{file}')",
    "/*!50000 SELECT */ file('{file}')", "SELECT char(102,105,108,101)('{file}')", "SELECT file\n(\n'{file}'\n)",
    "SELECT f.* FROM (VALUES (1)) AS f", "TABLE {table}", "{table}", "file('{file}')", "FROM file('{file}')",
    "'{file}'", "DESC '{file}'", "SELECT * FROM '{file}'", "SELECT * FROM \"{file}\"", "\\copy x", "help", "exit", "",
)  # fmt: skip
