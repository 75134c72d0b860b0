CREATE MATERIALIZED VIEW IF NOT EXISTS hopline.id_index_record_mv ON CLUSTER mesh
TO hopline.id_index_local AS
SELECT key, kind, trace_id, gateway, record_id, bucket, start_ns, received_ns
FROM (
    SELECT
        trace_id, gateway, record_id, bucket, start_ns, received_ns,
        id.1 AS kind,
        if(id.1 = 'trace_id', lower(id.2), arrayMap(t -> multiIf(
        t IN ('', '-', 'none', 'null', 'undefined', 'nan'), '',
        match(t, '^([0-9a-f]{32}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})$'),
            if(match(t, '[1-9a-f]'),
               concat(substring(replaceAll(t, '-', ''), 1, 12), '*', substring(replaceAll(t, '-', ''), 14)), ''),
        t),
    arrayMap(
        t -> lowerUTF8(if(startsWith(t, '{') AND endsWith(t, '}'), substring(t, 2, length(t) - 2), t)),
        [trimBoth(trimBoth(if(lengthUTF8(id.2) <= 2048, id.2, ''), ' \t\n\r\v\f'), '"')]))[1]) AS key
    FROM hopline.gateway_record_local
    ARRAY JOIN arrayConcat(
        if(arrayExists(i -> lower(i.2) = lower(record_id), ids), [], [('record_id', record_id)]),
        [('trace_id', trace_id)],
        arrayMap(i -> (toString(i.1), i.2), arrayFilter(i -> i.1 != 'trace_id' OR i.2 != trace_id, ids))) AS id
)
WHERE key != ''
