CREATE MATERIALIZED VIEW IF NOT EXISTS hopline.landing_metric_mv ON CLUSTER mesh
TO hopline.metric_part AS
SELECT
    resource, resource_schema_url, scope_name, scope_version, scope_attributes, scope_dropped, scope_schema_url,
    m.name AS name,
    m.description AS description,
    m.unit AS unit,
    greatest(
        m.sum.aggregation_temporality, m.histogram.aggregation_temporality,
        m.exponential_histogram.aggregation_temporality) AS temporality,
    m.sum.is_monotonic AS is_monotonic,
    m.gauge.data_points AS gauge,
    m.sum.data_points AS sum,
    m.histogram.data_points AS histogram,
    m.exponential_histogram.data_points AS exponential_histogram,
    m.summary.data_points AS summary,
    received_ns, tenant
FROM (
    SELECT
        resource, resource_schema_url, sm.scope.name AS scope_name, sm.scope.version AS scope_version,
        CAST(mapFromArrays(sm.scope.attributes.key, arrayMap(v -> if(startsWith(v, '\n') AND length(v) <= 129, substring(v, 3), multiIf(
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
    '')), sm.scope.attributes.value)), 'Map(LowCardinality(String), String)') AS scope_attributes,
        sm.scope.dropped_attributes_count AS scope_dropped, sm.schema_url AS scope_schema_url,
        sm.metrics AS metrics, received_ns, tenant
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
    '')), r.resource.attributes.value)), 'Map(LowCardinality(String), String)') AS resource, r.schema_url AS resource_schema_url,
            r.scope_metrics AS scope_metrics, received_ns, tenant
        FROM (
            SELECT r, received_ns, tenant
            FROM hopline.landing_metric
            ARRAY JOIN resource_metrics AS r
        )
    )
    ARRAY JOIN scope_metrics AS sm
)
ARRAY JOIN metrics AS m
