SELECT trace_id, toUnixTimestamp(bucket) AS bucket_s, record_id, gateway
FROM {database:Identifier}.id_index
PREWHERE key IN {trace_ids:Array(String)}
WHERE gateway != ''
UNION ALL
SELECT trace_id, toUnixTimestamp(bucket) AS bucket_s, record_id, gateway
FROM {database:Identifier}.id_index
PREWHERE key IN (SELECT arrayJoin(arrayMap(r -> arrayMap(t -> multiIf(
        t IN ('', '-', 'none', 'null', 'undefined', 'nan'), '',
        match(t, '^([0-9a-f]{32}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})$'),
            if(match(t, '[1-9a-f]'),
               concat(substring(replaceAll(t, '-', ''), 1, 12), '*', substring(replaceAll(t, '-', ''), 14)), ''),
        t),
    arrayMap(
        t -> lowerUTF8(if(startsWith(t, '{') AND endsWith(t, '}'), substring(t, 2, length(t) - 2), t)),
        [trimBoth(trimBoth(if(lengthUTF8(r) <= 2048, r, ''), ' \t\n\r\v\f'), '"')]))[1], {record_ids:Array(String)})))
WHERE gateway != ''
