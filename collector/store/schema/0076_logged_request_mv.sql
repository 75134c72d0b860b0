-- Feeds logged_request: the lines of proxies' access logs that carry an id of their request.
-- A cheap look at the names comes first, so that what applications log is not taken apart.
-- The spellings are those of collector/decode/envoy/fields.py; a test compares what both read.
-- Source: Envoy substitution formatter; linkerd2-proxy linkerd/http/access-log/src/lib.rs.
{% from "macros/access_logs.sql" import facts_by_name, is_access_line, line_facts, told_facts %}
{% from "macros/ids.sql" import log_ids, request_id_key %}
{% from "macros/requests.sql" import five_minutes %}
CREATE MATERIALIZED VIEW IF NOT EXISTS {{ database }}.logged_request_mv {{ on_cluster }}
TO {{ database }}.logged_request{{ local }} AS
SELECT
    {{ five_minutes("time_ns") }} AS bucket,
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
            {{ facts_by_name("told") }} AS facts,
            arrayFirst(pair -> pair.1 LIKE '%id' AND {{ request_id_key("pair.2") }} = key, ids).2 AS written
        FROM (
            SELECT
                toUnixTimestamp64Nano(otel_logs{{ local }}.Timestamp) AS time_ns,
                toUnixTimestamp64Nano(otel_logs{{ local }}.Received) AS received_ns,
                TraceId AS trace_id, ServiceName AS own_service, RequestKeys AS own_keys,
                {{ told_facts(line_facts()) }} AS told,
                {{ log_ids() }} AS ids,
                multiIf(
                    arrayExists(each -> NOT match(each, '^[0-9a-f]{32}$'), RequestKeys),
                    arrayFirst(each -> NOT match(each, '^[0-9a-f]{32}$'), RequestKeys),
                    TraceId != '', TraceId,
                    arrayFirst(each -> 1, RequestKeys)) AS key
            FROM {{ database }}.otel_logs{{ local }}
            WHERE (TraceId != '' OR notEmpty(RequestKeys)) AND (
                {{ is_access_line() }})
        )
    )
    WHERE facts['code'] != '' OR facts['duration_ns'] != '' OR facts['duration_ms'] != ''
)
