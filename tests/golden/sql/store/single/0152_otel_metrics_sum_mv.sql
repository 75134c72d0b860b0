CREATE MATERIALIZED VIEW IF NOT EXISTS hopline.otel_metrics_sum_mv 
TO hopline.otel_metrics_sum AS
SELECT
    resource AS ResourceAttributes,
    resource_schema_url AS ResourceSchemaUrl,
    scope_name AS ScopeName,
    scope_version AS ScopeVersion,
    scope_attributes AS ScopeAttributes,
    scope_dropped AS ScopeDroppedAttrCount,
    scope_schema_url AS ScopeSchemaUrl,
    resource['service.name'] AS ServiceName,
    name AS MetricName,
    description AS MetricDescription,
    unit AS MetricUnit,
    CAST(mapFromArrays(p.attributes.key, arrayMap(v -> if(startsWith(v, '\n') AND length(v) <= 129, substring(v, 3), multiIf(
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
    '')), p.attributes.value)), 'Map(LowCardinality(String), String)') AS Attributes,
    fromUnixTimestamp64Nano(toInt64(p.start_time_unix_nano)) AS StartTimeUnix,
    fromUnixTimestamp64Nano(toInt64(p.time_unix_nano)) AS TimeUnix,
    if(p.as_int != 0, toFloat64(p.as_int), p.as_double) AS Value,
    p.flags AS Flags,
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
    '')), a.value)), 'Map(LowCardinality(String), String)'), p.exemplars.filtered_attributes) AS `Exemplars.FilteredAttributes`,
    arrayMap(t -> fromUnixTimestamp64Nano(toInt64(t)), p.exemplars.time_unix_nano) AS `Exemplars.TimeUnix`,
    arrayMap((d, i) -> if(i != 0, toFloat64(i), d), p.exemplars.as_double, p.exemplars.as_int) AS `Exemplars.Value`,
    arrayMap(i -> lower(hex(i)), p.exemplars.span_id) AS `Exemplars.SpanId`,
    arrayMap(i -> lower(hex(i)), p.exemplars.trace_id) AS `Exemplars.TraceId`,
    temporality AS AggregationTemporality,
    is_monotonic AS IsMonotonic,
    fromUnixTimestamp64Nano(toInt64(received_ns)) AS Received,
    tenant AS Tenant
FROM hopline.metric_part
ARRAY JOIN sum AS p
