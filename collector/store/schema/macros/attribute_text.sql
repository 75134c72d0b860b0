multiIf(
    $1.value = 'string_value', $1.string_value,
    $1.value = 'int_value', toString($1.int_value),
    $1.value = 'bool_value', if($1.bool_value, 'true', 'false'),
    $1.value = 'double_value', toString($1.double_value),
    $1.value = 'array_value', concat('otlp-array:', base64Encode($1.array_value)),
    $1.value = 'kvlist_value', concat('otlp-kvlist:', base64Encode($1.kvlist_value)),
    $1.value = 'bytes_value', base64Encode($1.bytes_value),
    '')
