-- $1: the bytes of an AnyValue that is a list. As JSON when no list is inside it, else ''.
arrayMap(items -> multiIf(
        startsWith($1, '*'),
            if(arrayExists(i -> match(i, '^[*2]'), items), '',
               concat('[', arrayStringConcat(arrayMap(i -> {{scalar_json:i}}, items), ','), ']')),
        arrayExists(i -> NOT startsWith(i, '\n') OR reinterpretAsUInt8(substring(i, 2, 1)) >= 128
                         OR match({{pair_value:i}}, '^[*2]'), items), '',
        concat('{', arrayStringConcat(arrayMap(
            i -> concat(toJSONString(substring(i, 3, reinterpretAsUInt8(substring(i, 2, 1)))), ':',
                        arrayMap(v -> {{scalar_json:v}}, [{{pair_value:i}}])[1]),
            items), ','), '}')),
    [{{list_items:$1}}])[1]
