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
                    '^\\[([^\\]"]{0,64})\\] "(\\S*) (\\S*) [^"]*" (\\d+) (\\S+) .*?(?:\\d+|-) (?:\\d+|-) (\\d+|-) (?:\\d+|-) "')),
            7)))
{%- endmacro %}

-- One of a line's facts by its spellings, the best first; "" where it is not logged.
{% macro fact() -%}
arrayFirst(
    value -> lower(value) NOT IN ('', '-', 'null', 'none', 'nil'),
    arrayMap(name -> facts[name], ['{{ varargs | join("', '") }}']))
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
