WITH picked AS (
    SELECT gateway, record_id, trace_id, ids
    FROM {database:Identifier}.gateway_record
    WHERE (bucket, record_id, gateway) IN {keys:Array(Tuple(DateTime, String, String))}
)
SELECT DISTINCT gateway, record_id
FROM (
    SELECT gateway, record_id, key
    FROM picked
    ARRAY JOIN arrayConcat(
        [trace_id],
        arrayMap(i -> arrayMap(t -> multiIf(
        t IN ('', '-', 'none', 'null', 'undefined', 'nan'), '',
        match(t, '^([0-9a-f]{32}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})$'),
            if(match(t, '[1-9a-f]'),
               concat(substring(replaceAll(t, '-', ''), 1, 12), '*', substring(replaceAll(t, '-', ''), 14)), ''),
        t),
    arrayMap(
        t -> lowerUTF8(if(startsWith(t, '{') AND endsWith(t, '}'), substring(t, 2, length(t) - 2), t)),
        [trimBoth(trimBoth(if(lengthUTF8(i.2) <= 2048, i.2, ''), ' \t\n\r\v\f'), '"')]))[1], ids),
        arrayMap(i -> replaceAll(lower(i.2), '-', ''), ids)) AS key
    WHERE key != ''
)
WHERE key GLOBAL IN (
    SELECT TraceId FROM {database:Identifier}.otel_traces_trace_id_ts
    WHERE TraceId GLOBAL IN (SELECT arrayJoin(arrayConcat([trace_id], arrayMap(i -> replaceAll(lower(i.2), '-', ''), ids))) FROM picked)
    UNION ALL
    SELECT key FROM {database:Identifier}.id_index
    WHERE key GLOBAL IN (SELECT arrayJoin(arrayMap(i -> arrayMap(t -> multiIf(
        t IN ('', '-', 'none', 'null', 'undefined', 'nan'), '',
        match(t, '^([0-9a-f]{32}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})$'),
            if(match(t, '[1-9a-f]'),
               concat(substring(replaceAll(t, '-', ''), 1, 12), '*', substring(replaceAll(t, '-', ''), 14)), ''),
        t),
    arrayMap(
        t -> lowerUTF8(if(startsWith(t, '{') AND endsWith(t, '}'), substring(t, 2, length(t) - 2), t)),
        [trimBoth(trimBoth(if(lengthUTF8(i.2) <= 2048, i.2, ''), ' \t\n\r\v\f'), '"')]))[1], ids)) FROM picked) AND gateway = ''
)
ORDER BY gateway, record_id
