CREATE MATERIALIZED VIEW IF NOT EXISTS hopline.logged_request_mv ON CLUSTER mesh
TO hopline.logged_request_local AS
SELECT
    toStartOfFiveMinutes(toDateTime(intDiv(time_ns, 1000000000))) AS bucket,
    key,
    (
        if(begin_ns > 0, begin_ns, time_ns), if(duration_ns >= 0, -duration_ns, 1),
        code, code >= 500 OR grpc > 1, id, service, method, host, path
    ) AS edge,
    keys,
    arrayFilter(name -> name != '', [service]) AS services,
    received_ns
FROM (
    SELECT
        time_ns, received_ns, key,
        arrayDistinct(arrayFilter(each -> each != '', arrayConcat(own_keys, [trace_id]))) AS keys,
        multiIf(written != '', written, key) AS id,
        toUnixTimestamp64Nano(parseDateTime64BestEffortOrZero(
            if(match(arrayFirst(
    value -> lower(value) NOT IN ('', '-', 'null', 'none', 'nil'),
    arrayMap(name -> facts[name], ['starttime', 'timestamp', 'systemtime', 'requeststarttime'])), '^\\d{4}-\\d\\d-\\d\\d[Tt ]'),
               arrayFirst(
    value -> lower(value) NOT IN ('', '-', 'null', 'none', 'nil'),
    arrayMap(name -> facts[name], ['starttime', 'timestamp', 'systemtime', 'requeststarttime'])), ''), 9, 'UTC')) AS begin_ns,
        multiIf(
            arrayFirst(
    value -> lower(value) NOT IN ('', '-', 'null', 'none', 'nil'),
    arrayMap(name -> facts[name], ['durationns', 'totalns'])) != '', ifNull(toInt64OrNull(arrayFirst(
    value -> lower(value) NOT IN ('', '-', 'null', 'none', 'nil'),
    arrayMap(name -> facts[name], ['durationns', 'totalns']))), -1),
            ifNull(accurateCastOrNull(round(toFloat64OrNull(arrayFirst(
    value -> lower(value) NOT IN ('', '-', 'null', 'none', 'nil'),
    arrayMap(name -> facts[name], ['duration', 'durationms', 'totalduration', 'totaldurationms', 'totaltime', 'clientduration']))) * 1e6), 'Int64'), -1)) AS duration_ns,
        toUInt16OrZero(arrayFirst(
    value -> lower(value) NOT IN ('', '-', 'null', 'none', 'nil'),
    arrayMap(name -> facts[name], ['responsecode', 'status', 'statuscode', 'responsestatus', 'httpstatus', 'httpstatuscode', 'httpresponsestatuscode']))) AS code,
        toUInt16OrZero(arrayFirst(
    value -> lower(value) NOT IN ('', '-', 'null', 'none', 'nil'),
    arrayMap(name -> facts[name], ['grpcstatus', 'grpcstatusnumber', 'grpcstatuscode']))) AS grpc,
        if(arrayFirst(
    value -> lower(value) NOT IN ('', '-', 'null', 'none', 'nil'),
    arrayMap(name -> facts[name], ['service', 'servicename'])) != '', arrayFirst(
    value -> lower(value) NOT IN ('', '-', 'null', 'none', 'nil'),
    arrayMap(name -> facts[name], ['service', 'servicename'])), own_service) AS service,
        arrayFirst(
    value -> lower(value) NOT IN ('', '-', 'null', 'none', 'nil'),
    arrayMap(name -> facts[name], ['method', 'httpmethod', 'requestmethod', 'reqmethod', 'httprequestmethod'])) AS method,
        arrayFirst(
    value -> lower(value) NOT IN ('', '-', 'null', 'none', 'nil'),
    arrayMap(name -> facts[name], ['authority', 'host', 'httphost', 'requesthost', 'serveraddress', 'authorityfor'])) AS host,
        replaceRegexpOne(
            arrayFirst(
    value -> lower(value) NOT IN ('', '-', 'null', 'none', 'nil'),
    arrayMap(name -> facts[name], ['path', 'xenvoyoriginpath', 'xenvoyoriginalpath', 'requestpath', 'httppath', 'originalpath', 'urlpath', 'httptarget', 'uri'])),
            '^(?i)[a-z][a-z0-9+.-]*://[^/?]*', '') AS path
    FROM (
        SELECT
            time_ns, received_ns, trace_id, own_service, own_keys, key,
            mapFromArrays(arrayMap(fact -> fact.1, pairs), arrayMap(fact -> fact.2, pairs)) AS facts,
            arrayFirst(pair -> pair.1 LIKE '%id' AND arrayMap(t -> multiIf(
        t IN ('', '-', 'none', 'null', 'undefined', 'nan'), '',
        match(t, '^([0-9a-f]{32}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})$'),
            if(match(t, '[1-9a-f]'),
               concat(substring(replaceAll(t, '-', ''), 1, 12), '*', substring(replaceAll(t, '-', ''), 14)), ''),
        t),
    arrayMap(
        t -> lowerUTF8(if(startsWith(t, '{') AND endsWith(t, '}'), substring(t, 2, length(t) - 2), t)),
        [trimBoth(trimBoth(if(lengthUTF8(pair.2) <= 2048, pair.2, ''), ' \t\n\r\v\f'), '"')]))[1] = key, ids).2 AS written
        FROM (
            SELECT
                toUnixTimestamp64Nano(otel_logs_local.Timestamp) AS time_ns,
                toUnixTimestamp64Nano(otel_logs_local.Received) AS received_ns,
                TraceId AS trace_id, ServiceName AS own_service, RequestKeys AS own_keys,
                arrayConcat(
    arrayZip(arrayMap(name -> lower(replaceRegexpAll(name, '[^A-Za-z0-9]', '')), CAST(mapKeys(LogAttributes), 'Array(String)')), mapValues(LogAttributes)),
    arrayMap(
        pair -> (pair.1, if(startsWith(pair.2, '"'), JSONExtractString(pair.2), pair.2)),
        arrayMap(
            pair -> (lower(replaceRegexpAll(pair.1, '[^A-Za-z0-9]', '')), pair.2),
            JSONExtractKeysAndValuesRaw(if(startsWith(Body, '{') AND length(Body) <= 16384, Body, '')))),
    arrayZip(
        ['authority', 'starttime', 'method', 'path', 'responsecode', 'responseflags', 'duration'],
        arrayResize(
            arrayConcat(
                [extract(if(startsWith(Body, '[') AND length(Body) <= 16384, Body, ''), '" "[^"]*" "([^"]*)" "[^"]*"(?: [^ "]+)*\\s*$')],
                extractGroups(
                    if(startsWith(Body, '[') AND length(Body) <= 16384, Body, ''),
                    '^\\[([^\\]"]{0,64})\\] "(\\S*) (\\S*) [^"]*" (\\d+) (\\S+) .*?(?:\\d+|-) (?:\\d+|-) (\\d+|-) (?:\\d+|-) "')),
            7))) AS pairs,
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
                '" "([^" ]{8,128})" "[^"]*" "[^"]*"(?: [^ "]+){0,6}\\s*$')]))) AS ids,
                multiIf(
                    arrayExists(each -> NOT match(each, '^[0-9a-f]{32}$'), RequestKeys),
                    arrayFirst(each -> NOT match(each, '^[0-9a-f]{32}$'), RequestKeys),
                    TraceId != '', TraceId,
                    arrayFirst(each -> 1, RequestKeys)) AS key
            FROM hopline.otel_logs_local
            WHERE (TraceId != '' OR notEmpty(RequestKeys)) AND (
                startsWith(Body, '[') AND match(Body, '^\\[[^\\]"]{0,64}\\] "\\S* \\S* [^"]*" \\d+ \\S+ ')
                OR startsWith(Body, '{') AND length(Body) <= 16384
                    AND match(Body, '(?i)"(?:response.?flags?|upstream.?cluster[a-z._]*|response.?(?:code.?)?details|processing_ns)"')
                OR arrayExists(
                    name -> match(name, '(?i)^(?:response.?flags?|upstream.?cluster[a-z._]*|response.?(?:code.?)?details|processing_ns)$'),
                    mapKeys(LogAttributes)))
        )
    )
    WHERE arrayFirst(
    value -> lower(value) NOT IN ('', '-', 'null', 'none', 'nil'),
    arrayMap(name -> facts[name], ['responsecode', 'status', 'statuscode', 'responsestatus', 'httpstatus', 'httpstatuscode', 'httpresponsestatuscode', 'durationns', 'totalns', 'duration', 'durationms', 'totalduration', 'totaldurationms', 'totaltime', 'clientduration'])) != ''
)
