-- $1: where an item of `body` starts. How long its content is.
toUInt64(if(reinterpretAsUInt8(substring(body, $1 + 1, 1)) < 128,
   reinterpretAsUInt8(substring(body, $1 + 1, 1)),
   bitAnd(reinterpretAsUInt8(substring(body, $1 + 1, 1)), 127) + 128 * reinterpretAsUInt8(substring(body, $1 + 2, 1))))
