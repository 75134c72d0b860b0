{% macro attribute_list() -%}
Array(Tuple(key LowCardinality(String), value String))
{%- endmacro %}

{% macro attribute_map(value) -%}
CAST(mapFromArrays({{ value }}.key, arrayMap(v -> {{ attribute_text("v") }}, {{ value }}.value)), 'Map(LowCardinality(String), String)')
{%- endmacro %}

-- `value`: the bytes of an AnyValue. Its text, as the OpenTelemetry exporter for ClickHouse would write it.
-- The canonical encoding is one tag, a length or varint, and nothing behind it. Texts under 128
-- bytes come first because nearly all are. Lists are kept whole as base64 behind a marker and become
-- JSON when they are read (store/values.py): to render them here, whatever is in them, would take
-- the engine 60 ms more for each insert, only to analyse the view.
{% macro attribute_text(value) -%}
if(startsWith({{ value }}, '\n') AND length({{ value }}) <= 129, substring({{ value }}, 3), multiIf(
    startsWith({{ value }}, '\n'), substring({{ value }}, multiIf(length({{ value }}) <= 16386, 4, length({{ value }}) <= 2097155, 5, 6)),
    startsWith({{ value }}, '\x18'), {{ varint_text(value) }},
    startsWith({{ value }}, '\x10'), if(endsWith({{ value }}, '\x01'), 'true', 'false'),
    startsWith({{ value }}, '!'), toString(reinterpretAsFloat64(substring({{ value }}, 2, 8))),
    startsWith({{ value }}, ':'), base64Encode(substring({{ value }}, multiIf(length({{ value }}) <= 129, 3, length({{ value }}) <= 16386, 4, length({{ value }}) <= 2097155, 5, 6))),
    startsWith({{ value }}, '*') OR startsWith({{ value }}, '2'), {{ list_text(value) }},
    ''))
{%- endmacro %}

-- `value`: a value whose bytes 2 to 11 are a varint (protobuf int64), as decimal text
{% macro varint_text(value) -%}
toString(reinterpretAsInt64(
    bitAnd(reinterpretAsUInt64(substring({{ value }}, 2, 8)), 127)
    + bitAnd(bitShiftRight(reinterpretAsUInt64(substring({{ value }}, 2, 8)), 1), 16256)
    + bitAnd(bitShiftRight(reinterpretAsUInt64(substring({{ value }}, 2, 8)), 2), 2080768)
    + bitAnd(bitShiftRight(reinterpretAsUInt64(substring({{ value }}, 2, 8)), 3), 266338304)
    + bitAnd(bitShiftRight(reinterpretAsUInt64(substring({{ value }}, 2, 8)), 4), 34091302912)
    + bitAnd(bitShiftRight(reinterpretAsUInt64(substring({{ value }}, 2, 8)), 5), 4363686772736)
    + bitAnd(bitShiftRight(reinterpretAsUInt64(substring({{ value }}, 2, 8)), 6), 558551906910208)
    + bitAnd(bitShiftRight(reinterpretAsUInt64(substring({{ value }}, 2, 8)), 7), 71494644084506624)
    + bitShiftLeft(toUInt64(bitAnd(reinterpretAsUInt16(substring({{ value }}, 10, 2)), 127)), 56)
    + bitShiftLeft(toUInt64(bitAnd(reinterpretAsUInt16(substring({{ value }}, 10, 2)), 256)), 55)))
{%- endmacro %}

-- `value`: the bytes of an AnyValue that is a list. JSON if it is an array of texts under 126 bytes each, as
-- header attributes and command lines are; else the bytes as base64 behind a marker.
-- The fold takes one item off the front in each step; each starts with \n, which bounds their number,
-- and what is left copies itself, so there is a limit. `walk` is (what is left, JSON so far).
{% macro list_text(value) -%}
arrayMap(
    walk -> if(
        startsWith({{ value }}, '*') AND walk.1 = '', concat(if(walk.2 = '', '[', walk.2), ']'),
        concat('data:application/x-otlp-value;base64,', base64Encode({{ value }}))),
    [arrayFold(
        (walk, step) -> if(
            NOT startsWith(walk.1, '\n') OR substring(walk.1, 3, 1) != '\n'
                OR reinterpretAsUInt8(substring(walk.1, 2, 1)) NOT BETWEEN 2 AND 127,
            (if(walk.1 = '', '', '*'), walk.2),
            (substring(walk.1, 3 + reinterpretAsUInt8(substring(walk.1, 2, 1))),
             concat(walk.2, if(walk.2 = '', '[', ','), toJSONString(substring(walk.1, 5, reinterpretAsUInt8(substring(walk.1, 2, 1)) - 2))))),
        range(if(length({{ value }}) > 32768, 0, least(countSubstrings({{ value }}, '\n'), 129))),
        (substring({{ value }}, multiIf(length({{ value }}) <= 129, 3, length({{ value }}) <= 16386, 4, 5)), ''))])[1]
{%- endmacro %}

-- `value`: where an item of `body` starts. How many bytes come before its content: the tag and a length up to 16383.
{% macro item_head(value) -%}
if(reinterpretAsUInt8(substring(body, {{ value }} + 1, 1)) < 128, 2, 3)
{%- endmacro %}

-- `value`: where an item of `body` starts. How long its content is.
{% macro item_length(value) -%}
toUInt64(if(reinterpretAsUInt8(substring(body, {{ value }} + 1, 1)) < 128,
   reinterpretAsUInt8(substring(body, {{ value }} + 1, 1)),
   bitAnd(reinterpretAsUInt8(substring(body, {{ value }} + 1, 1)), 127) + 128 * reinterpretAsUInt8(substring(body, {{ value }} + 2, 1))))
{%- endmacro %}

-- `value`: the bytes of an AnyValue that is an array or a key-value list of up to 16 KiB, as its items.
-- The fold walks from item to item by their lengths; each starts with \n, which bounds their number.
-- More than 128 items give ['*'], a list within: the walk copies its result at every step.
{% macro list_items(value) -%}
arrayMap(body -> arrayMap(
        ends -> if(ends[-1] <= length(body), ['*'], arrayMap(
            at -> substring(body, at + {{ item_head("at") }}, {{ item_length("at") }}), arrayPopBack(ends))),
        [arrayFold(
            (ends, step) -> if(
                ends[-1] > length(body), ends,
                arrayPushBack(ends, ends[-1] + {{ item_head("ends[-1]") }} + {{ item_length("ends[-1]") }})),
            range(least(countSubstrings(body, '\n'), 128)), [toUInt64(1)])])[1],
    [substring({{ value }}, if(length({{ value }}) <= 129, 3, 4))])[1]
{%- endmacro %}

-- `value`: the bytes of a KeyValue with a key shorter than 128 bytes. The bytes of its value.
{% macro pair_value(value) -%}
substring({{ value }}, if(reinterpretAsUInt8(substring({{ value }}, 4 + reinterpretAsUInt8(substring({{ value }}, 2, 1)), 1)) < 128, 5, 6)
    + reinterpretAsUInt8(substring({{ value }}, 2, 1)))
{%- endmacro %}

-- `value`: the bytes of an AnyValue that is no list, as JSON
{% macro scalar_json(value) -%}
multiIf(
    startsWith({{ value }}, '\n'), toJSONString(substring({{ value }}, if(length({{ value }}) <= 129, 3, 4))),
    startsWith({{ value }}, '\x18'), {{ varint_text(value) }},
    startsWith({{ value }}, '\x10'), if(endsWith({{ value }}, '\x01'), 'true', 'false'),
    startsWith({{ value }}, '!') AND isFinite(reinterpretAsFloat64(substring({{ value }}, 2, 8))), toString(reinterpretAsFloat64(substring({{ value }}, 2, 8))),
    startsWith({{ value }}, ':'), concat('"', base64Encode(substring({{ value }}, if(length({{ value }}) <= 129, 3, 4))), '"'),
    'null')
{%- endmacro %}

-- `value`: the bytes of an AnyValue that is a list. As JSON when no list is inside it, else ''.
{% macro list_json(value) -%}
arrayMap(items -> multiIf(
        startsWith({{ value }}, '*'),
            if(arrayExists(i -> match(i, '^[*2]'), items), '',
               concat('[', arrayStringConcat(arrayMap(i -> {{ scalar_json("i") }}, items), ','), ']')),
        arrayExists(i -> NOT startsWith(i, '\n') OR reinterpretAsUInt8(substring(i, 2, 1)) >= 128
                         OR match({{ pair_value("i") }}, '^[*2]'), items), '',
        concat('{', arrayStringConcat(arrayMap(
            i -> concat(toJSONString(substring(i, 3, reinterpretAsUInt8(substring(i, 2, 1)))), ':',
                        arrayMap(v -> {{ scalar_json("v") }}, [{{ pair_value("i") }}])[1]),
            items), ','), '}')),
    [{{ list_items(value) }}])[1]
{%- endmacro %}

-- `value`: the bytes of a log record's body. Structured bodies are lists, so flat ones become JSON here.
{% macro body_text(value) -%}
arrayMap(
    json -> if(json = '', {{ attribute_text(value) }}, json),
    [if((startsWith({{ value }}, '*') OR startsWith({{ value }}, '2')) AND length({{ value }}) <= 16384, {{ list_json(value) }}, '')])[1]
{%- endmacro %}

{% macro hex_id(value) -%}
lower(hex({{ value }}))
{%- endmacro %}

{% macro moment(value) -%}
fromUnixTimestamp64Nano(toInt64({{ value }}))
{%- endmacro %}

-- The attributes of a resource as the exporter's map, computed from the column that is stored.
{% macro resource_attributes() -%}
Map(LowCardinality(String), String) ALIAS JSONExtract(Resource, 'Map(LowCardinality(String), String)')
{%- endmacro %}
