-- `value`: nanoseconds. The bucket they are kept in.
{% macro five_minutes(value) -%}
toStartOfFiveMinutes(toDateTime(intDiv({{ value }}, 1000000000)))
{%- endmacro %}

-- The five minutes of the range and an hour around it: gateway and mesh clocks differ, and an edge
-- span may start before or after its record. `value`: a bucket column.
{% macro around(value) -%}
{{ value }} >= {{ five_minutes("{start_ns:Int64}") }} - 3600 AND {{ value }} <= {{ five_minutes("{end_ns:Int64}") }} + 3600
{%- endmacro %}

-- `value`: `edge` or `place` of a trace summary. When the edge span started.
{% macro edge_start(value) -%}
{{ value }}.rank % 4000000000000000000
{%- endmacro %}

-- `value`: an id. A hash by which requests are drawn; query/background/strata.py makes the same one.
{% macro place_of(value) -%}
reinterpretAsUInt64(substring(MD5({{ value }}), 1, 8))
{%- endmacro %}

-- Whether a record's duration is the time of an answer, not the life of a connection. Spelled out, for the
-- default of a column cannot have parameters.
{% macro record_is_answer() -%}
kind != 'websocket' AND NOT has(quality, 'STREAMING')
{%- endmacro %}

-- Whether a gateway called a backend for a request, as far as its record says: see has_stayed_at_gateway.
{% macro record_has_left() -%}
(ifNull(attempts, 1) != 0 AND cache != 'hit')
{%- endmacro %}

-- Whether a stored version of a gateway record counts in statistics: not if it is a health probe's, nor if it
-- only adds to a request that another log tells of, nor if it was made of spans and the gateway's own log tells
-- of the same request, under the same id or in the same trace. Reads no ids of gateways that send no spans.
-- Not `has_spans`: there are none that were made of spans, which saves the engine four looks at the range.
{% macro record_is_counted(has_spans=true) -%}
NOT is_probe AND source NOT IN {side_sources:Array(String)}
{%- if has_spans %} AND (source != {span_source:String} OR (
    (gateway, record_id) GLOBAL NOT IN (
        SELECT gateway, record_id FROM {database:Identifier}.gateway_record
        WHERE {{ around("bucket") }} AND source != {span_source:String} AND gateway GLOBAL IN (
            SELECT gateway FROM {database:Identifier}.gateway_record WHERE {{ around("bucket") }} AND source = {span_source:String}))
    AND (gateway, trace_id) GLOBAL NOT IN (
        SELECT gateway, trace_id FROM {database:Identifier}.gateway_record
        WHERE {{ around("bucket") }} AND source != {span_source:String} AND trace_id != '' AND gateway GLOBAL IN (
            SELECT gateway FROM {database:Identifier}.gateway_record WHERE {{ around("bucket") }} AND source = {span_source:String})))){% endif %}
{%- endmacro %}

-- Whether a gateway record has spans: under its trace id, or under an id that some spans carry and
-- not so many traces that it means none of them. Reads the whole range, so it is a last resort.
-- Ids are compared by a hash: sets of a million numbers are built ten times as fast as of texts.
{% macro record_is_joined() -%}
(cityHash64(trace_id) GLOBAL IN (
        SELECT cityHash64(trace_id) FROM {database:Identifier}.trace_summary WHERE {{ around("bucket") }})
    OR cityHash64(gateway, record_id) GLOBAL IN (
        SELECT cityHash64(gateway, record_id) FROM {database:Identifier}.id_index
        WHERE {{ around("bucket") }} AND gateway != '' AND cityHash64(key) GLOBAL IN (
            SELECT cityHash64(key) AS hash FROM {database:Identifier}.id_index
            WHERE {{ around("bucket") }} AND gateway = ''
            GROUP BY hash HAVING count() <= {max_traces_of_id:UInt32})))
{%- endmacro %}

-- Whether a gateway record claims a trace: by its trace id, or by the request id of its edge span.
-- Reads the whole range, so it is a last resort; see record_is_joined.
{% macro trace_is_recorded() -%}
(cityHash64(trace_id) GLOBAL IN (
        SELECT cityHash64(trace_id) FROM {database:Identifier}.gateway_record
        WHERE {{ around("bucket") }} AND trace_id != '')
    OR edge.request_key != '' AND cityHash64(edge.request_key) GLOBAL IN (
        SELECT cityHash64(key) AS hash FROM {database:Identifier}.id_index
        WHERE {{ around("bucket") }} AND gateway != ''
        GROUP BY hash HAVING uniq(gateway, record_id) <= {max_traces_of_id:UInt32}))
{%- endmacro %}

-- The ids, by a hash, under which a gateway record or spans are known: what they tell of a request comes before what
-- access logs do. Reads the whole range, so it is a last resort; see record_is_joined.
{% macro claimed_keys() -%}
SELECT cityHash64(trace_id) FROM {database:Identifier}.trace_summary WHERE {{ around("bucket") }}
UNION ALL
SELECT cityHash64(key) AS hash FROM {database:Identifier}.id_index
WHERE {{ around("bucket") }} AND gateway != ''
GROUP BY hash HAVING uniq(gateway, record_id) <= {max_traces_of_id:UInt32}
UNION ALL
SELECT cityHash64(key) FROM {database:Identifier}.id_index
WHERE {{ around("bucket") }} AND gateway = '' AND trace_id != '' AND cityHash64(trace_id) GLOBAL IN (
    SELECT cityHash64(trace_id) FROM {database:Identifier}.trace_summary WHERE {{ around("bucket") }})
{%- endmacro %}

-- The traces in which a service took part, by a hash of their ids.
{% macro traces_of_service() -%}
SELECT cityHash64(trace_id) FROM {database:Identifier}.trace_summary
WHERE {{ around("bucket") }} AND has(services, {service:String})
{%- endmacro %}

-- The rows of gateway_record or request that fit a filter: -1 and "" do not restrict.
{% macro fits() -%}
start_ns >= {start_ns:Int64} AND start_ns < {end_ns:Int64}
    AND ({gateway:String} = '' OR gateway = {gateway:String})
    AND ({api:String} = '' OR api = {api:String})
    AND ({operation:String} = '' OR operation = {operation:String})
    AND ({route:String} = '' OR route = {route:String})
    AND ({method:String} = '' OR method = {method:String})
    AND ({host:String} = '' OR lower(host) = {host:String})
    AND ({consumer:String} = '' OR consumer = {consumer:String})
    AND ({revision:String} = '' OR api_revision = {revision:String})
    AND ({status:Int32} = -1 OR ifNull(status, 0) = {status:Int32})
    AND ({status_class:Int32} = -1 OR intDiv(ifNull(status, 0), 100) = {status_class:Int32})
    AND ({is_error:Int8} = -1 OR is_error = ({is_error:Int8} = 1))
    AND ({min_duration_ns:Int64} = -1 OR ifNull(duration_ns, -1) >= {min_duration_ns:Int64})
    AND ({max_duration_ns:Int64} = -1 OR ifNull(duration_ns, -1) BETWEEN 0 AND {max_duration_ns:Int64})
{%- endmacro %}

-- What requests are told apart by beside gateway and API: up to three fields, as texts.
{% macro group_key(grouped) -%}
{% if grouped %}[
            ifNull(toString({first:Identifier}), ''), ifNull(toString({second:Identifier}), ''),
            ifNull(toString({third:Identifier}), '')
        ]{% else %}emptyArrayString(){% endif %}
{%- endmacro %}

-- The gateway records of a range that count, each as it came last, with what a filter reads. What stays open has no
-- time of an answer. `key`: a column of that name. `has_hours`: without those of some hours. `has_spans`: see
-- record_is_counted.
{% macro counted_records(key, has_hours=false, has_spans=true) -%}
    SELECT
        gateway, api, operation, route, method, host, consumer, api_revision, status, is_error, start_ns,
        greatest(weight, 1e-9) AS stands_for, NOT ({{ record_is_answer() }}) AS is_open,
        {{ key }} AS key,
        if({{ record_is_answer() }}, gateway_record.duration_ns, NULL) AS duration_ns,
        isNotNull(duration_ns) AND NOT hasAny(quality, {unmeasured_flags:Array(String)}) AS is_measured
    FROM {database:Identifier}.gateway_record AS gateway_record
    WHERE {{ in_range() }} AND start_ns >= {start_ns:Int64} AND start_ns < {end_ns:Int64}
        {%- if has_hours %} AND {{ hour_of("bucket") }} NOT IN {hours:Array(UInt32)}{% endif %}

        AND {{ record_is_counted(has_spans) }}
    ORDER BY bucket, record_id, gateway, source IN {line_sources:Array(String)}, received_ns DESC
    LIMIT 1 BY bucket, record_id, gateway
{%- endmacro %}

-- The five minutes of a range. `bucket`: the column.
{% macro in_range() -%}
bucket >= {{ five_minutes("{start_ns:Int64}") }} AND bucket <= {{ five_minutes("{end_ns:Int64}") }}
{%- endmacro %}

-- `value`: a time. Hours since 1970, wherever the server is.
{% macro hour_of(value) -%}
intDiv(toUnixTimestamp({{ value }}), 3600)
{%- endmacro %}

-- The sums of counted records that record_hour holds, in its order; see queries/get_group_stats.sql.
{% macro record_sums() -%}
sum(stands_for) AS requests, sum(stands_for * stands_for) AS squares, sumIf(stands_for, is_error) AS errors,
    sumIf(stands_for, intDiv(ifNull(status, 0), 100) = 4) AS refused,
    countIf(is_measured) AS measured, sumIf(stands_for, is_open) AS open,
    quantilesTDigestWeightedIfState(0.5)(
        ifNull(duration_ns, 0), toUInt32(greatest(round(stands_for), 1)), is_measured) AS durations
{%- endmacro %}
