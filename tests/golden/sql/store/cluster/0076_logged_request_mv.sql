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
            if(match(facts['start'], '^\\d{4}-\\d\\d-\\d\\d[Tt ]'), facts['start'], ''), 9, 'UTC')) AS begin_ns,
        multiIf(
            facts['duration_ns'] != '', ifNull(toInt64OrNull(facts['duration_ns']), -1),
            ifNull(accurateCastOrNull(round(toFloat64OrNull(facts['duration_ms']) * 1e6), 'Int64'), -1)) AS duration_ns,
        toUInt16OrZero(facts['code']) AS code,
        toUInt16OrZero(facts['grpc']) AS grpc,
        if(facts['service'] != '', facts['service'], own_service) AS service,
        facts['method'] AS method,
        facts['host'] AS host,
        replaceRegexpOne(facts['path'], '^(?i)[a-z][a-z0-9+.-]*://[^/?]*', '') AS path
    FROM (
        SELECT
            time_ns, received_ns, trace_id, own_service, own_keys, key,
            mapFromArrays(
    arrayMap(
        name -> multiIf(
            name IN ('starttime', 'timestamp', 'systemtime', 'requeststarttime'), 'start',
            name IN ('durationns', 'totalns'), 'duration_ns',
            name IN ('duration', 'durationms', 'totalduration', 'totaldurationms', 'totaltime', 'clientduration'), 'duration_ms',
            name IN ('responsecode', 'status', 'statuscode', 'responsestatus', 'httpstatus', 'httpstatuscode', 'httpresponsestatuscode'), 'code',
            name IN ('grpcstatus', 'grpcstatusnumber', 'grpcstatuscode'), 'grpc',
            name IN ('service', 'servicename'), 'service',
            name IN ('method', 'httpmethod', 'requestmethod', 'reqmethod', 'httprequestmethod'), 'method',
            name IN ('authority', 'host', 'httphost', 'requesthost', 'serveraddress', 'authorityfor'), 'host',
            name IN ('path', 'xenvoyoriginpath', 'xenvoyoriginalpath', 'requestpath', 'httppath', 'originalpath', 'urlpath', 'httptarget', 'uri'), 'path',
            ''),
        told.1),
    told.2) AS facts,
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
                arraySort(
    pair -> indexOf(['starttime', 'timestamp', 'systemtime', 'requeststarttime', 'durationns', 'totalns', 'duration', 'durationms', 'totalduration', 'totaldurationms', 'totaltime', 'clientduration', 'responsecode', 'status', 'statuscode', 'responsestatus', 'httpstatus', 'httpstatuscode', 'httpresponsestatuscode', 'grpcstatus', 'grpcstatusnumber', 'grpcstatuscode', 'service', 'servicename', 'method', 'httpmethod', 'requestmethod', 'reqmethod', 'httprequestmethod', 'authority', 'host', 'httphost', 'requesthost', 'serveraddress', 'authorityfor', 'path', 'xenvoyoriginpath', 'xenvoyoriginalpath', 'requestpath', 'httppath', 'originalpath', 'urlpath', 'httptarget', 'uri'], pair.1),
    arrayFilter(
        pair -> pair.1 IN ('starttime', 'timestamp', 'systemtime', 'requeststarttime', 'durationns', 'totalns', 'duration', 'durationms', 'totalduration', 'totaldurationms', 'totaltime', 'clientduration', 'responsecode', 'status', 'statuscode', 'responsestatus', 'httpstatus', 'httpstatuscode', 'httpresponsestatuscode', 'grpcstatus', 'grpcstatusnumber', 'grpcstatuscode', 'service', 'servicename', 'method', 'httpmethod', 'requestmethod', 'reqmethod', 'httprequestmethod', 'authority', 'host', 'httphost', 'requesthost', 'serveraddress', 'authorityfor', 'path', 'xenvoyoriginpath', 'xenvoyoriginalpath', 'requestpath', 'httppath', 'originalpath', 'urlpath', 'httptarget', 'uri') AND lower(pair.2) NOT IN ('', '-', 'null', 'none', 'nil'),
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
                    '^\\[([^\\]"]*)\\] "(\\S*) (\\S*) [^"]*" (\\d+) (\\S+) .*?(?:\\d+|-) (?:\\d+|-) (\\d+|-) (?:\\d+|-) "')),
            7))))) AS told,
                arrayConcat(
    arrayFilter(
        pair -> match(pair.1, '^(?:guid:|http\\.request\\.header\\.)?(?:x[-_])?request[-_]id$|^(?:http\\.request\\.header\\.)?(?:traceparent|b3|x[-_]b3[-_]traceid)$|^trace[-_.]?id$')
            AND length(pair.2) <= 256,
        arrayMap(
            (name, value) -> (lower(name), replaceRegexpOne(value, '^\\["([^"]*)".*$', '\\1')),
            CAST(mapKeys(LogAttributes), 'Array(String)'), mapValues(LogAttributes))),
    arrayFilter(
        pair -> lengthUTF8(pair.2) BETWEEN 8 AND 256,
        arrayMap(
            found -> (lower(found[1]), found[2]),
            extractAllGroupsVertical(
                if(startsWith(Body, '{') AND length(Body) <= 16384, Body, ''),
                '(?i)"((?:x[-_])?request[-_]id|traceparent|b3|x[-_]b3[-_]traceid|trace[-_.]?id)"\\s*:\\s*"([^"]*)"'))),
    arrayMap(
        value -> ('request_id', value),
        arrayFilter(
            value -> lengthUTF8(value) BETWEEN 8 AND 128,
            [extract(
                if(startsWith(Body, '[') AND length(Body) <= 16384, Body, ''),
                '" "([^" ]*)" "[^"]*" "[^"]*"(?: [^ "]+){0,6}\\s*$')]))) AS ids,
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
    WHERE facts['code'] != '' OR facts['duration_ns'] != '' OR facts['duration_ms'] != ''
)
