SELECT
    gateway, record_id,
    arrayFilter(t -> t != '', arrayConcat(
        [trace_id], arrayMap(i -> replaceAll(lower(i.2), '-', ''), ids))) AS trace_ids,
    arrayFilter(k -> k != '', arrayMap(i -> arrayMap(t -> multiIf(
        t IN ('', '-', 'none', 'null', 'undefined', 'nan'), '',
        match(t, '^([0-9a-f]{32}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})$'),
            if(match(t, '[1-9a-f]'),
               concat(substring(replaceAll(t, '-', ''), 1, 12), '*', substring(replaceAll(t, '-', ''), 14)), ''),
        t),
    arrayMap(
        t -> lowerUTF8(if(startsWith(t, '{') AND endsWith(t, '}'), substring(t, 2, length(t) - 2), t)),
        [trimBoth(trimBoth(if(lengthUTF8(i.2) <= 2048, i.2, ''), ' \t\n\r\v\f'), '"')]))[1], ids)) AS request_keys
FROM {database:Identifier}.gateway_record
WHERE (bucket, record_id, gateway) IN {keys:Array(Tuple(DateTime, String, String))}
ORDER BY gateway, record_id
