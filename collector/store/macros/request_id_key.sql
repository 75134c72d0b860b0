-- decode.ids.request_id_key in SQL; a test runs both on the same texts.
arrayMap(t -> multiIf(
        t IN ('', '-', 'none', 'null', 'undefined', 'nan'), '',
        match(t, '^([0-9a-f]{32}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})$'),
            if(match(t, '[1-9a-f]'),
               concat(substring(replaceAll(t, '-', ''), 1, 12), '*', substring(replaceAll(t, '-', ''), 14)), ''),
        t),
    arrayMap(
        t -> lowerUTF8(if(startsWith(t, '{') AND endsWith(t, '}'), substring(t, 2, length(t) - 2), t)),
        [trimBoth(trimBoth(if(lengthUTF8($1) <= 2048, $1, ''), ' \t\n\r\v\f'), '"')]))[1]
