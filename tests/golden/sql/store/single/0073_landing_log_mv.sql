CREATE MATERIALIZED VIEW IF NOT EXISTS hopline.landing_log_mv 
TO hopline.otel_logs AS
SELECT
    fromUnixTimestamp64Nano(toInt64(multiIf(l.time_unix_nano != 0, l.time_unix_nano, l.observed_time_unix_nano != 0, l.observed_time_unix_nano, received_ns))) AS Timestamp,
    lower(hex(l.trace_id)) AS TraceId,
    lower(hex(l.span_id)) AS SpanId,
    toUInt8(l.flags) AS TraceFlags,
    l.severity_text AS SeverityText,
    toUInt8(l.severity_number) AS SeverityNumber,
    service AS ServiceName,
    arrayMap(
    json -> if(json = '', if(startsWith(l.body, '\n') AND length(l.body) <= 129, substring(l.body, 3), multiIf(
    startsWith(l.body, '\n'), substring(l.body, multiIf(length(l.body) <= 16386, 4, length(l.body) <= 2097155, 5, 6)),
    startsWith(l.body, '\x18'), toString(reinterpretAsInt64(
    bitAnd(reinterpretAsUInt64(substring(l.body, 2, 8)), 127)
    + bitAnd(bitShiftRight(reinterpretAsUInt64(substring(l.body, 2, 8)), 1), 16256)
    + bitAnd(bitShiftRight(reinterpretAsUInt64(substring(l.body, 2, 8)), 2), 2080768)
    + bitAnd(bitShiftRight(reinterpretAsUInt64(substring(l.body, 2, 8)), 3), 266338304)
    + bitAnd(bitShiftRight(reinterpretAsUInt64(substring(l.body, 2, 8)), 4), 34091302912)
    + bitAnd(bitShiftRight(reinterpretAsUInt64(substring(l.body, 2, 8)), 5), 4363686772736)
    + bitAnd(bitShiftRight(reinterpretAsUInt64(substring(l.body, 2, 8)), 6), 558551906910208)
    + bitAnd(bitShiftRight(reinterpretAsUInt64(substring(l.body, 2, 8)), 7), 71494644084506624)
    + bitShiftLeft(toUInt64(bitAnd(reinterpretAsUInt16(substring(l.body, 10, 2)), 127)), 56)
    + bitShiftLeft(toUInt64(bitAnd(reinterpretAsUInt16(substring(l.body, 10, 2)), 256)), 55))),
    startsWith(l.body, '\x10'), if(endsWith(l.body, '\x01'), 'true', 'false'),
    startsWith(l.body, '!'), toString(reinterpretAsFloat64(substring(l.body, 2, 8))),
    startsWith(l.body, ':'), base64Encode(substring(l.body, multiIf(length(l.body) <= 129, 3, length(l.body) <= 16386, 4, length(l.body) <= 2097155, 5, 6))),
    startsWith(l.body, '*') OR startsWith(l.body, '2'), arrayMap(
    walk -> if(
        startsWith(l.body, '*') AND walk.1 = '', concat(if(walk.2 = '', '[', walk.2), ']'),
        concat('data:application/x-otlp-value;base64,', base64Encode(l.body))),
    [arrayFold(
        (walk, step) -> if(
            NOT startsWith(walk.1, '\n') OR substring(walk.1, 3, 1) != '\n'
                OR reinterpretAsUInt8(substring(walk.1, 2, 1)) NOT BETWEEN 2 AND 127,
            (if(walk.1 = '', '', '*'), walk.2),
            (substring(walk.1, 3 + reinterpretAsUInt8(substring(walk.1, 2, 1))),
             concat(walk.2, if(walk.2 = '', '[', ','), toJSONString(substring(walk.1, 5, reinterpretAsUInt8(substring(walk.1, 2, 1)) - 2))))),
        range(if(length(l.body) > 32768, 0, least(countSubstrings(l.body, '\n'), 129))),
        (substring(l.body, multiIf(length(l.body) <= 129, 3, length(l.body) <= 16386, 4, 5)), ''))])[1],
    '')), json),
    [if((startsWith(l.body, '*') OR startsWith(l.body, '2')) AND length(l.body) <= 16384, arrayMap(items -> multiIf(
        startsWith(l.body, '*'),
            if(arrayExists(i -> match(i, '^[*2]'), items), '',
               concat('[', arrayStringConcat(arrayMap(i -> multiIf(
    startsWith(i, '\n'), toJSONString(substring(i, if(length(i) <= 129, 3, 4))),
    startsWith(i, '\x18'), toString(reinterpretAsInt64(
    bitAnd(reinterpretAsUInt64(substring(i, 2, 8)), 127)
    + bitAnd(bitShiftRight(reinterpretAsUInt64(substring(i, 2, 8)), 1), 16256)
    + bitAnd(bitShiftRight(reinterpretAsUInt64(substring(i, 2, 8)), 2), 2080768)
    + bitAnd(bitShiftRight(reinterpretAsUInt64(substring(i, 2, 8)), 3), 266338304)
    + bitAnd(bitShiftRight(reinterpretAsUInt64(substring(i, 2, 8)), 4), 34091302912)
    + bitAnd(bitShiftRight(reinterpretAsUInt64(substring(i, 2, 8)), 5), 4363686772736)
    + bitAnd(bitShiftRight(reinterpretAsUInt64(substring(i, 2, 8)), 6), 558551906910208)
    + bitAnd(bitShiftRight(reinterpretAsUInt64(substring(i, 2, 8)), 7), 71494644084506624)
    + bitShiftLeft(toUInt64(bitAnd(reinterpretAsUInt16(substring(i, 10, 2)), 127)), 56)
    + bitShiftLeft(toUInt64(bitAnd(reinterpretAsUInt16(substring(i, 10, 2)), 256)), 55))),
    startsWith(i, '\x10'), if(endsWith(i, '\x01'), 'true', 'false'),
    startsWith(i, '!') AND isFinite(reinterpretAsFloat64(substring(i, 2, 8))), toString(reinterpretAsFloat64(substring(i, 2, 8))),
    startsWith(i, ':'), concat('"', base64Encode(substring(i, if(length(i) <= 129, 3, 4))), '"'),
    'null'), items), ','), ']')),
        arrayExists(i -> NOT startsWith(i, '\n') OR reinterpretAsUInt8(substring(i, 2, 1)) >= 128
                         OR match(substring(i, if(reinterpretAsUInt8(substring(i, 4 + reinterpretAsUInt8(substring(i, 2, 1)), 1)) < 128, 5, 6)
    + reinterpretAsUInt8(substring(i, 2, 1))), '^[*2]'), items), '',
        concat('{', arrayStringConcat(arrayMap(
            i -> concat(toJSONString(substring(i, 3, reinterpretAsUInt8(substring(i, 2, 1)))), ':',
                        arrayMap(v -> multiIf(
    startsWith(v, '\n'), toJSONString(substring(v, if(length(v) <= 129, 3, 4))),
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
    startsWith(v, '!') AND isFinite(reinterpretAsFloat64(substring(v, 2, 8))), toString(reinterpretAsFloat64(substring(v, 2, 8))),
    startsWith(v, ':'), concat('"', base64Encode(substring(v, if(length(v) <= 129, 3, 4))), '"'),
    'null'), [substring(i, if(reinterpretAsUInt8(substring(i, 4 + reinterpretAsUInt8(substring(i, 2, 1)), 1)) < 128, 5, 6)
    + reinterpretAsUInt8(substring(i, 2, 1)))])[1]),
            items), ','), '}')),
    [arrayMap(body -> arrayMap(
        ends -> if(ends[-1] <= length(body), ['*'], arrayMap(
            at -> substring(body, at + if(reinterpretAsUInt8(substring(body, at + 1, 1)) < 128, 2, 3), toUInt64(if(reinterpretAsUInt8(substring(body, at + 1, 1)) < 128,
   reinterpretAsUInt8(substring(body, at + 1, 1)),
   bitAnd(reinterpretAsUInt8(substring(body, at + 1, 1)), 127) + 128 * reinterpretAsUInt8(substring(body, at + 2, 1))))), arrayPopBack(ends))),
        [arrayFold(
            (ends, step) -> if(
                ends[-1] > length(body), ends,
                arrayPushBack(ends, ends[-1] + if(reinterpretAsUInt8(substring(body, ends[-1] + 1, 1)) < 128, 2, 3) + toUInt64(if(reinterpretAsUInt8(substring(body, ends[-1] + 1, 1)) < 128,
   reinterpretAsUInt8(substring(body, ends[-1] + 1, 1)),
   bitAnd(reinterpretAsUInt8(substring(body, ends[-1] + 1, 1)), 127) + 128 * reinterpretAsUInt8(substring(body, ends[-1] + 2, 1)))))),
            range(least(countSubstrings(body, '\n'), 128)), [toUInt64(1)])])[1],
    [substring(l.body, if(length(l.body) <= 129, 3, 4))])[1]])[1], '')])[1] AS Body,
    resource_schema_url AS ResourceSchemaUrl,
    scope_schema_url AS ScopeSchemaUrl,
    scope_name AS ScopeName,
    scope_version AS ScopeVersion,
    scope_attributes AS ScopeAttributes,
    CAST(mapFromArrays(l.attributes.key, arrayMap(v -> if(startsWith(v, '\n') AND length(v) <= 129, substring(v, 3), multiIf(
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
    '')), l.attributes.value)), 'Map(LowCardinality(String), String)') AS LogAttributes,
    l.event_name AS EventName,
    resource AS Resource,
    fromUnixTimestamp64Nano(toInt64(received_ns)) AS Received,
    tenant AS Tenant
FROM (
    SELECT l, service, resource, resource_schema_url, scope_name, scope_version, scope_attributes, scope_schema_url, received_ns, tenant
    FROM (
        SELECT
            service, resource, resource_schema_url, sl.scope.name AS scope_name, sl.scope.version AS scope_version,
            CAST(mapFromArrays(sl.scope.attributes.key, arrayMap(v -> if(startsWith(v, '\n') AND length(v) <= 129, substring(v, 3), multiIf(
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
    '')), sl.scope.attributes.value)), 'Map(LowCardinality(String), String)') AS scope_attributes, sl.schema_url AS scope_schema_url,
            sl.log_records AS log_records, received_ns, tenant
        FROM (
            SELECT
                toLowCardinality(attributes['service.name']) AS service,
                toLowCardinality(toJSONString(attributes)) AS resource,
                resource_schema_url, scope_logs, received_ns, tenant
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
    '')), r.resource.attributes.value)), 'Map(LowCardinality(String), String)') AS attributes, r.schema_url AS resource_schema_url,
                    r.scope_logs AS scope_logs, received_ns, tenant
                FROM (
                    SELECT r, received_ns, tenant
                    FROM hopline.landing_log
                    ARRAY JOIN resource_logs AS r
                )
            )
        )
        ARRAY JOIN scope_logs AS sl
    )
    ARRAY JOIN log_records AS l
)
