-- $1: the bytes of an AnyValue that is no list, as JSON
multiIf(
    startsWith($1, '\n'), toJSONString(substring($1, if(length($1) <= 129, 3, 4))),
    startsWith($1, '\x18'), {{varint_text:$1}},
    startsWith($1, '\x10'), if(endsWith($1, '\x01'), 'true', 'false'),
    startsWith($1, '!') AND isFinite(reinterpretAsFloat64(substring($1, 2, 8))), toString(reinterpretAsFloat64(substring($1, 2, 8))),
    startsWith($1, ':'), concat('"', base64Encode(substring($1, if(length($1) <= 129, 3, 4))), '"'),
    'null')
