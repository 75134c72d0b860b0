-- $1: the bytes of an AnyValue. Its text, as the OpenTelemetry exporter for ClickHouse would write it.
-- The canonical encoding is one tag, a length or varint, and nothing behind it. Texts under 128
-- bytes come first because nearly all are. Lists are kept whole as base64 behind a marker and become
-- JSON when they are read (store/values.py): to render them here, whatever is in them, would take
-- the engine 60 ms more for each insert, only to analyse the view.
if(startsWith($1, '\n') AND length($1) <= 129, substring($1, 3), multiIf(
    startsWith($1, '\n'), substring($1, multiIf(length($1) <= 16386, 4, length($1) <= 2097155, 5, 6)),
    startsWith($1, '\x18'), {{varint_text:$1}},
    startsWith($1, '\x10'), if(endsWith($1, '\x01'), 'true', 'false'),
    startsWith($1, '!'), toString(reinterpretAsFloat64(substring($1, 2, 8))),
    startsWith($1, ':'), base64Encode(substring($1, multiIf(length($1) <= 129, 3, length($1) <= 16386, 4, length($1) <= 2097155, 5, 6))),
    startsWith($1, '*') OR startsWith($1, '2'), {{list_text:$1}},
    ''))
