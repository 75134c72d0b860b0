-- $1: the bytes of a KeyValue with a key shorter than 128 bytes. The bytes of its value.
substring($1, if(reinterpretAsUInt8(substring($1, 4 + reinterpretAsUInt8(substring($1, 2, 1)), 1)) < 128, 5, 6)
    + reinterpretAsUInt8(substring($1, 2, 1)))
