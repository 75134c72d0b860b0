-- The names of facts in access logs, as `Aliases` compares them: case and punctuation make no difference.
-- `names`: an array.
{% macro squashed(names) -%}
arrayMap(name -> lower(replaceRegexpAll(name, '[^A-Za-z0-9]', '')), {{ names }})
{%- endmacro %}

-- The (name, value) pairs of a log record's attributes, and behind them those of its JSON or text body.
-- The text formats are Envoy's and Istio's default ones.
{% macro line_facts() -%}
arrayConcat(
    arrayZip({{ squashed("CAST(mapKeys(LogAttributes), 'Array(String)')") }}, mapValues(LogAttributes)),
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
            7)))
{%- endmacro %}

-- The facts that are read of a line, each with its spellings, the best first.
{% set spellings = {
    "start": ["starttime", "timestamp", "systemtime", "requeststarttime"],
    "duration_ns": ["durationns", "totalns"],
    "duration_ms": ["duration", "durationms", "totalduration", "totaldurationms", "totaltime", "clientduration"],
    "code": ["responsecode", "status", "statuscode", "responsestatus", "httpstatus", "httpstatuscode", "httpresponsestatuscode"],
    "grpc": ["grpcstatus", "grpcstatusnumber", "grpcstatuscode"],
    "service": ["service", "servicename"],
    "method": ["method", "httpmethod", "requestmethod", "reqmethod", "httprequestmethod"],
    "host": ["authority", "host", "httphost", "requesthost", "serveraddress", "authorityfor"],
    "path": ["path", "xenvoyoriginpath", "xenvoyoriginalpath", "requestpath", "httppath", "originalpath", "urlpath", "httptarget", "uri"]
} %}
{% set spelled = "['" ~ spellings.values() | sum(start=[]) | join("', '") ~ "']" %}

-- Those of `pairs` that tell one of these facts, the best spelling of each first.
{% macro told_facts(pairs) -%}
arraySort(
    pair -> indexOf({{ spelled }}, pair.1),
    arrayFilter(
        pair -> pair.1 IN ({{ spelled[1:-1] }}) AND lower(pair.2) NOT IN ('', '-', 'null', 'none', 'nil'),
        {{ pairs }}))
{%- endmacro %}

-- The facts by name, out of what `told_facts` gives; "" where one is not logged.
{% macro facts_by_name(told) -%}
mapFromArrays(
    arrayMap(
        name -> multiIf(
            {%- for fact, names in spellings.items() %}
            name IN ('{{ names | join("', '") }}'), '{{ fact }}',
            {%- endfor %}
            ''),
        {{ told }}.1),
    {{ told }}.2)
{%- endmacro %}

-- Whether a log record is a line of a proxy's access log: told by its form, or by names that only those have.
{% macro is_access_line() -%}
startsWith(Body, '[') AND match(Body, '^\\[[^\\]"]{0,64}\\] "\\S* \\S* [^"]*" \\d+ \\S+ ')
                OR startsWith(Body, '{') AND length(Body) <= 16384
                    AND match(Body, '(?i)"(?:response.?flags?|upstream.?cluster[a-z._]*|response.?(?:code.?)?details|processing_ns)"')
                OR arrayExists(
                    name -> match(name, '(?i)^(?:response.?flags?|upstream.?cluster[a-z._]*|response.?(?:code.?)?details|processing_ns)$'),
                    mapKeys(LogAttributes))
{%- endmacro %}
