-- decode.ids.request_id_key in SQL; a contract test runs both on the same texts
multiIf(
    length($1) > 2048, '',
    lower(trimBoth($1)) IN ('', '-', 'none', 'null', 'undefined', 'nan'), '',
    match(lower(trimBoth($1)), '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$|^[0-9a-f]{32}$'),
        if(match($1, '[1-9a-fA-F]'),
           concat(substring(replaceAll(lower(trimBoth($1)), '-', ''), 1, 12), '*',
                  substring(replaceAll(lower(trimBoth($1)), '-', ''), 14)),
           ''),
    lower(trimBoth($1)))
