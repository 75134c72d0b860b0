CREATE MATERIALIZED VIEW IF NOT EXISTS hopline.landing_trace_mv ON CLUSTER mesh
TO hopline.otel_traces AS
SELECT
    fromUnixTimestamp64Nano(toInt64(s.start_time_unix_nano)) AS Timestamp,
    lower(hex(s.trace_id)) AS TraceId,
    lower(hex(s.span_id)) AS SpanId,
    lower(hex(s.parent_span_id)) AS ParentSpanId,
    s.trace_state AS TraceState,
    s.name AS SpanName,
    transform(s.kind, [1, 2, 3, 4, 5],
        ['Internal', 'Server', 'Client', 'Producer', 'Consumer'], 'Unspecified') AS SpanKind,
    service AS ServiceName,
    scope_name AS ScopeName,
    scope_version AS ScopeVersion,
    CAST(mapFromArrays(s.attributes.key, arrayMap(v -> if(startsWith(v, '\n') AND length(v) <= 129, substring(v, 3), multiIf(
    startsWith(v, '\n'), substring(v, multiIf(length(v) <= 16386, 4, length(v) <= 2097155, 5, 6)),
    startsWith(v, '\x18'), toString(reinterpretAsInt64(
    bitAnd(reinterpretAsUInt64(substring(v, 2, 8)), 127)
    + bitAnd(bitShiftRight(reinterpretAsUInt64(substring(v, 2, 8)), 1), 16256)
    + bitAnd(bitShiftRight(reinterpretAsUInt64(substring(v, 2, 8)), 2), 2080768)
    + bitAnd(bitShiftRight(reinterpretAsUInt64(substring(v, 2, 8)), 3), 266338304)
    + bitAnd(bitShiftRight(reinterpretAsUInt64(substring(v, 2, 8)), 4), 34091302912)
    + bitAnd(bitShiftRight(reinterpretAsUInt64(substring(v, 2, 8)), 5), 4363686772736)
    + bitAnd(bitShiftRight(reinterpretAsUInt64(substring(v, 2, 8)), 6), 558551906910208)
    + bitAnd(bitShiftRight(reinterpretAsUInt64(substring(v, 2, 8)), 7), 71494644084506624)
    + bitShiftLeft(toUInt64(bitAnd(reinterpretAsUInt16(substring(v, 10, 2)), 127)), 56)
    + bitShiftLeft(toUInt64(bitAnd(reinterpretAsUInt16(substring(v, 10, 2)), 256)), 55))),
    startsWith(v, '\x10'), if(endsWith(v, '\x01'), 'true', 'false'),
    startsWith(v, '!'), toString(reinterpretAsFloat64(substring(v, 2, 8))),
    startsWith(v, ':'), base64Encode(substring(v, multiIf(length(v) <= 129, 3, length(v) <= 16386, 4, length(v) <= 2097155, 5, 6))),
    startsWith(v, '*') OR startsWith(v, '2'), arrayMap(
    walk -> if(
        startsWith(v, '*') AND walk.1 = '', concat(if(walk.2 = '', '[', walk.2), ']'),
        concat('data:application/x-otlp-value;base64,', base64Encode(v))),
    [arrayFold(
        (walk, step) -> if(
            NOT startsWith(walk.1, '\n') OR substring(walk.1, 3, 1) != '\n'
                OR reinterpretAsUInt8(substring(walk.1, 2, 1)) NOT BETWEEN 2 AND 127,
            (if(walk.1 = '', '', '*'), walk.2),
            (substring(walk.1, 3 + reinterpretAsUInt8(substring(walk.1, 2, 1))),
             concat(walk.2, if(walk.2 = '', '[', ','), toJSONString(substring(walk.1, 5, reinterpretAsUInt8(substring(walk.1, 2, 1)) - 2))))),
        range(if(length(v) > 32768, 0, least(countSubstrings(v, '\n'), 129))),
        (substring(v, multiIf(length(v) <= 129, 3, length(v) <= 16386, 4, 5)), ''))])[1],
    '')), s.attributes.value)), 'Map(LowCardinality(String), String)') AS SpanAttributes,
    greatest(s.end_time_unix_nano, s.start_time_unix_nano) - s.start_time_unix_nano AS Duration,
    transform(s.status.code, [1, 2], ['Ok', 'Error'], 'Unset') AS StatusCode,
    s.status.message AS StatusMessage,
    arrayMap(t -> fromUnixTimestamp64Nano(toInt64(t)), s.events.time_unix_nano) AS `Events.Timestamp`,
    s.events.name AS `Events.Name`,
    arrayMap(a -> CAST(mapFromArrays(a.key, arrayMap(v -> if(startsWith(v, '\n') AND length(v) <= 129, substring(v, 3), multiIf(
    startsWith(v, '\n'), substring(v, multiIf(length(v) <= 16386, 4, length(v) <= 2097155, 5, 6)),
    startsWith(v, '\x18'), toString(reinterpretAsInt64(
    bitAnd(reinterpretAsUInt64(substring(v, 2, 8)), 127)
    + bitAnd(bitShiftRight(reinterpretAsUInt64(substring(v, 2, 8)), 1), 16256)
    + bitAnd(bitShiftRight(reinterpretAsUInt64(substring(v, 2, 8)), 2), 2080768)
    + bitAnd(bitShiftRight(reinterpretAsUInt64(substring(v, 2, 8)), 3), 266338304)
    + bitAnd(bitShiftRight(reinterpretAsUInt64(substring(v, 2, 8)), 4), 34091302912)
    + bitAnd(bitShiftRight(reinterpretAsUInt64(substring(v, 2, 8)), 5), 4363686772736)
    + bitAnd(bitShiftRight(reinterpretAsUInt64(substring(v, 2, 8)), 6), 558551906910208)
    + bitAnd(bitShiftRight(reinterpretAsUInt64(substring(v, 2, 8)), 7), 71494644084506624)
    + bitShiftLeft(toUInt64(bitAnd(reinterpretAsUInt16(substring(v, 10, 2)), 127)), 56)
    + bitShiftLeft(toUInt64(bitAnd(reinterpretAsUInt16(substring(v, 10, 2)), 256)), 55))),
    startsWith(v, '\x10'), if(endsWith(v, '\x01'), 'true', 'false'),
    startsWith(v, '!'), toString(reinterpretAsFloat64(substring(v, 2, 8))),
    startsWith(v, ':'), base64Encode(substring(v, multiIf(length(v) <= 129, 3, length(v) <= 16386, 4, length(v) <= 2097155, 5, 6))),
    startsWith(v, '*') OR startsWith(v, '2'), arrayMap(
    walk -> if(
        startsWith(v, '*') AND walk.1 = '', concat(if(walk.2 = '', '[', walk.2), ']'),
        concat('data:application/x-otlp-value;base64,', base64Encode(v))),
    [arrayFold(
        (walk, step) -> if(
            NOT startsWith(walk.1, '\n') OR substring(walk.1, 3, 1) != '\n'
                OR reinterpretAsUInt8(substring(walk.1, 2, 1)) NOT BETWEEN 2 AND 127,
            (if(walk.1 = '', '', '*'), walk.2),
            (substring(walk.1, 3 + reinterpretAsUInt8(substring(walk.1, 2, 1))),
             concat(walk.2, if(walk.2 = '', '[', ','), toJSONString(substring(walk.1, 5, reinterpretAsUInt8(substring(walk.1, 2, 1)) - 2))))),
        range(if(length(v) > 32768, 0, least(countSubstrings(v, '\n'), 129))),
        (substring(v, multiIf(length(v) <= 129, 3, length(v) <= 16386, 4, 5)), ''))])[1],
    '')), a.value)), 'Map(LowCardinality(String), String)'), s.events.attributes) AS `Events.Attributes`,
    arrayMap(i -> lower(hex(i)), s.links.trace_id) AS `Links.TraceId`,
    arrayMap(i -> lower(hex(i)), s.links.span_id) AS `Links.SpanId`,
    s.links.trace_state AS `Links.TraceState`,
    arrayMap(a -> CAST(mapFromArrays(a.key, arrayMap(v -> if(startsWith(v, '\n') AND length(v) <= 129, substring(v, 3), multiIf(
    startsWith(v, '\n'), substring(v, multiIf(length(v) <= 16386, 4, length(v) <= 2097155, 5, 6)),
    startsWith(v, '\x18'), toString(reinterpretAsInt64(
    bitAnd(reinterpretAsUInt64(substring(v, 2, 8)), 127)
    + bitAnd(bitShiftRight(reinterpretAsUInt64(substring(v, 2, 8)), 1), 16256)
    + bitAnd(bitShiftRight(reinterpretAsUInt64(substring(v, 2, 8)), 2), 2080768)
    + bitAnd(bitShiftRight(reinterpretAsUInt64(substring(v, 2, 8)), 3), 266338304)
    + bitAnd(bitShiftRight(reinterpretAsUInt64(substring(v, 2, 8)), 4), 34091302912)
    + bitAnd(bitShiftRight(reinterpretAsUInt64(substring(v, 2, 8)), 5), 4363686772736)
    + bitAnd(bitShiftRight(reinterpretAsUInt64(substring(v, 2, 8)), 6), 558551906910208)
    + bitAnd(bitShiftRight(reinterpretAsUInt64(substring(v, 2, 8)), 7), 71494644084506624)
    + bitShiftLeft(toUInt64(bitAnd(reinterpretAsUInt16(substring(v, 10, 2)), 127)), 56)
    + bitShiftLeft(toUInt64(bitAnd(reinterpretAsUInt16(substring(v, 10, 2)), 256)), 55))),
    startsWith(v, '\x10'), if(endsWith(v, '\x01'), 'true', 'false'),
    startsWith(v, '!'), toString(reinterpretAsFloat64(substring(v, 2, 8))),
    startsWith(v, ':'), base64Encode(substring(v, multiIf(length(v) <= 129, 3, length(v) <= 16386, 4, length(v) <= 2097155, 5, 6))),
    startsWith(v, '*') OR startsWith(v, '2'), arrayMap(
    walk -> if(
        startsWith(v, '*') AND walk.1 = '', concat(if(walk.2 = '', '[', walk.2), ']'),
        concat('data:application/x-otlp-value;base64,', base64Encode(v))),
    [arrayFold(
        (walk, step) -> if(
            NOT startsWith(walk.1, '\n') OR substring(walk.1, 3, 1) != '\n'
                OR reinterpretAsUInt8(substring(walk.1, 2, 1)) NOT BETWEEN 2 AND 127,
            (if(walk.1 = '', '', '*'), walk.2),
            (substring(walk.1, 3 + reinterpretAsUInt8(substring(walk.1, 2, 1))),
             concat(walk.2, if(walk.2 = '', '[', ','), toJSONString(substring(walk.1, 5, reinterpretAsUInt8(substring(walk.1, 2, 1)) - 2))))),
        range(if(length(v) > 32768, 0, least(countSubstrings(v, '\n'), 129))),
        (substring(v, multiIf(length(v) <= 129, 3, length(v) <= 16386, 4, 5)), ''))])[1],
    '')), a.value)), 'Map(LowCardinality(String), String)'), s.links.attributes) AS `Links.Attributes`,
    resource AS Resource,
    fromUnixTimestamp64Nano(toInt64(received_ns)) AS Received,
    tenant AS Tenant
FROM (
    SELECT s, service, resource, scope_name, scope_version, received_ns, tenant
    FROM (
        SELECT
            service, resource, ss.scope.name AS scope_name, ss.scope.version AS scope_version,
            ss.spans AS spans, received_ns, tenant
        FROM (
            SELECT
                toLowCardinality(attributes['service.name']) AS service,
                toLowCardinality(toJSONString(attributes)) AS resource,
                scope_spans, received_ns, tenant
            FROM (
                SELECT
                    CAST(mapFromArrays(r.resource.attributes.key, arrayMap(v -> if(startsWith(v, '\n') AND length(v) <= 129, substring(v, 3), multiIf(
    startsWith(v, '\n'), substring(v, multiIf(length(v) <= 16386, 4, length(v) <= 2097155, 5, 6)),
    startsWith(v, '\x18'), toString(reinterpretAsInt64(
    bitAnd(reinterpretAsUInt64(substring(v, 2, 8)), 127)
    + bitAnd(bitShiftRight(reinterpretAsUInt64(substring(v, 2, 8)), 1), 16256)
    + bitAnd(bitShiftRight(reinterpretAsUInt64(substring(v, 2, 8)), 2), 2080768)
    + bitAnd(bitShiftRight(reinterpretAsUInt64(substring(v, 2, 8)), 3), 266338304)
    + bitAnd(bitShiftRight(reinterpretAsUInt64(substring(v, 2, 8)), 4), 34091302912)
    + bitAnd(bitShiftRight(reinterpretAsUInt64(substring(v, 2, 8)), 5), 4363686772736)
    + bitAnd(bitShiftRight(reinterpretAsUInt64(substring(v, 2, 8)), 6), 558551906910208)
    + bitAnd(bitShiftRight(reinterpretAsUInt64(substring(v, 2, 8)), 7), 71494644084506624)
    + bitShiftLeft(toUInt64(bitAnd(reinterpretAsUInt16(substring(v, 10, 2)), 127)), 56)
    + bitShiftLeft(toUInt64(bitAnd(reinterpretAsUInt16(substring(v, 10, 2)), 256)), 55))),
    startsWith(v, '\x10'), if(endsWith(v, '\x01'), 'true', 'false'),
    startsWith(v, '!'), toString(reinterpretAsFloat64(substring(v, 2, 8))),
    startsWith(v, ':'), base64Encode(substring(v, multiIf(length(v) <= 129, 3, length(v) <= 16386, 4, length(v) <= 2097155, 5, 6))),
    startsWith(v, '*') OR startsWith(v, '2'), arrayMap(
    walk -> if(
        startsWith(v, '*') AND walk.1 = '', concat(if(walk.2 = '', '[', walk.2), ']'),
        concat('data:application/x-otlp-value;base64,', base64Encode(v))),
    [arrayFold(
        (walk, step) -> if(
            NOT startsWith(walk.1, '\n') OR substring(walk.1, 3, 1) != '\n'
                OR reinterpretAsUInt8(substring(walk.1, 2, 1)) NOT BETWEEN 2 AND 127,
            (if(walk.1 = '', '', '*'), walk.2),
            (substring(walk.1, 3 + reinterpretAsUInt8(substring(walk.1, 2, 1))),
             concat(walk.2, if(walk.2 = '', '[', ','), toJSONString(substring(walk.1, 5, reinterpretAsUInt8(substring(walk.1, 2, 1)) - 2))))),
        range(if(length(v) > 32768, 0, least(countSubstrings(v, '\n'), 129))),
        (substring(v, multiIf(length(v) <= 129, 3, length(v) <= 16386, 4, 5)), ''))])[1],
    '')), r.resource.attributes.value)), 'Map(LowCardinality(String), String)') AS attributes, r.scope_spans AS scope_spans,
                    received_ns, tenant
                FROM (
                    SELECT r, received_ns, tenant
                    FROM hopline.landing_trace
                    ARRAY JOIN resource_spans AS r
                )
            )
        )
        ARRAY JOIN scope_spans AS ss
    )
    ARRAY JOIN spans AS s
)
