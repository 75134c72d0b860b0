-- decode.ids.request_id_key in SQL; a test runs both on the same texts.
{% macro request_id_key(value) -%}
arrayMap(t -> multiIf(
        t IN ('', '-', 'none', 'null', 'undefined', 'nan'), '',
        match(t, '^([0-9a-f]{32}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})$'),
            if(match(t, '[1-9a-f]'),
               concat(substring(replaceAll(t, '-', ''), 1, 12), '*', substring(replaceAll(t, '-', ''), 14)), ''),
        t),
    arrayMap(
        t -> lowerUTF8(if(startsWith(t, '{') AND endsWith(t, '}'), substring(t, 2, length(t) - 2), t)),
        [trimBoth(trimBoth(if(lengthUTF8({{ value }}) <= 2048, {{ value }}, ''), ' \t\n\r\v\f'), '"')]))[1]
{%- endmacro %}

-- Attributes of spans that the id index keeps: their names (part 0) and kinds (part 1). Captured headers have dashes, and
-- underscores from libraries of before the conventions' final form. Python's list of the same: identity/ids.py.
{% set id_headers = [
    ('x-request-id', 'x_request_id'), ('x-correlation-id', 'correlation_id'), ('x-ms-correlation-id', 'correlation_id'),
    ('apim-request-id', 'apim_correlation_id'), ('x-kong-request-id', 'kong_request_id'), ('x-amzn-requestid', 'aws_request_id'),
    ('x-amz-apigw-id', 'aws_extended_request_id'), ('x-apigee-message-id', 'apigee_message_id'),
    ('x-appgw-trace-id', 'transaction_id'), ('x-azure-ref', 'tracking_id')] %}
{% set id_attributes = [
    ('guid:x-request-id', 'x_request_id'), ('x-appgw-trace-id', 'transaction_id'), ('kong.request.id', 'kong_request_id'),
    ('aws.request_id', 'aws_request_id'), ('aws.extended_request_id', 'aws_extended_request_id'),
    ('apim.request_id', 'apim_correlation_id'), ('faas.invocation_id', 'invocation_id'), ('faas.execution', 'invocation_id')] %}
{% macro span_ids(part) -%}
{% for header, kind in id_headers -%}
'{{ ("http.request.header." ~ header, kind)[part] }}', '{{ ("http.request.header." ~ header.replace("-", "_"), kind)[part] }}',
        {% endfor -%}
{% for each in id_attributes %}'{{ each[part] }}'{{ ", " if not loop.last }}{% endfor %}
{%- endmacro %}

-- The (name, value) pairs of a log record that may be request or trace ids, names in lower case.
-- Of the attributes; of a JSON body, wherever they stand in it; and the request id of Envoy's text format.
-- Longer bodies are payloads that someone logs. Lengths are not counted in the expressions, which would take four
-- times as long. The same rule for one record: collector/decode/envoy.
{% macro log_ids() -%}
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
                '" "([^" ]*)" "[^"]*" "[^"]*"(?: [^ "]+){0,6}\\s*$')])))
{%- endmacro %}

-- The keys of a log record's ids as the id index has them: trace ids of 32 digits, request ids masked.
-- A trace id's field may hold a request id or an X-Ray header (Linkerd writes whichever header there is).
{% macro log_keys() -%}
arrayDistinct(arrayFilter(key -> key != '', arrayMap(
    pair -> arrayMap(
        digits -> multiIf(
            pair.1 LIKE '%request%' OR digits = '', {{ request_id_key("pair.2") }},
            match(digits, '[1-9a-f]'), leftPad(digits, 32, '0'),
            ''),
        [extract(
            replaceRegexpOne(
                lower(trimBoth(pair.2)), '^(?:self=[^;]*;)?root=1-([0-9a-f]{8})-([0-9a-f]{24})', '\\1\\2'),
            '^(?:[0-9a-f]{2}-)?([0-9a-f]{32}|[0-9a-f]{16})(?:[-;]|$)')])[1],
    {{ log_ids() }})))
{%- endmacro %}
