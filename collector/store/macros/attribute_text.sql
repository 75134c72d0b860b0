-- $1: the bytes of an AnyValue. Its text, as the OpenTelemetry exporter for ClickHouse would write it.
-- The canonical encoding is one tag, a length or varint, and nothing behind it. Texts under 128
-- bytes come first because nearly all are. A list with a list inside, or of many items, is kept
-- whole as base64 behind a marker and becomes JSON when it is read (store/values.py).
if(startsWith($1, '\n') AND length($1) <= 129, substring($1, 3), multiIf(
    startsWith($1, '\n'), substring($1, multiIf(length($1) <= 16386, 4, length($1) <= 2097155, 5, 6)),
    startsWith($1, '\x18'), {{varint_text:$1}},
    startsWith($1, '\x10'), if(endsWith($1, '\x01'), 'true', 'false'),
    startsWith($1, '!'), toString(reinterpretAsFloat64(substring($1, 2, 8))),
    startsWith($1, ':'), base64Encode(substring($1, multiIf(length($1) <= 129, 3, length($1) <= 16386, 4, length($1) <= 2097155, 5, 6))),
    match($1, '^[*2]'), arrayMap(
        json -> if(json = '', concat('data:application/x-otlp-value;base64,', base64Encode($1)), json),
        [if(length($1) <= 16384, {{list_json:$1}}, '')])[1],
    ''))
