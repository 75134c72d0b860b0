-- The (name, value) pairs of a log record that may be request or trace ids, names in lower case.
-- Of the attributes; of a JSON body, wherever they stand in it; and the request id of Envoy's text format.
-- Longer bodies are payloads that someone logs. Source: formats.md 8.2 to 8.4; decode/access_log.py.
arrayConcat(
    arrayFilter(
        pair -> match(pair.1, '^(?:guid:|http\\.request\\.header\\.)?(?:x[-_])?request[-_]id$|^(?:http\\.request\\.header\\.)?(?:traceparent|b3|x[-_]b3[-_]traceid)$|^trace[-_.]?id$')
            AND length(pair.2) <= 256,
        arrayMap(
            (name, value) -> (lower(name), replaceRegexpOne(value, '^\\["([^"]*)".*$', '\\1')),
            CAST(mapKeys(LogAttributes), 'Array(String)'), mapValues(LogAttributes))),
    arrayMap(
        found -> (lower(found[1]), found[2]),
        extractAllGroupsVertical(
            if(startsWith(Body, '{') AND length(Body) <= 16384, Body, ''),
            '(?i)"((?:x[-_])?request[-_]id|traceparent|b3|x[-_]b3[-_]traceid|trace[-_.]?id)"\\s*:\\s*"([^"]{8,256})"')),
    arrayMap(
        value -> ('request_id', value),
        arrayFilter(
            value -> value != '',
            [extract(
                if(startsWith(Body, '[') AND length(Body) <= 16384, Body, ''),
                '" "([^" ]{8,128})" "[^"]*" "[^"]*"(?: [^ "]+){0,6}\\s*$')])))
