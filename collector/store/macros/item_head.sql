-- $1: where an item of `body` starts. How many bytes come before its content: the tag and a length up to 16383.
if(reinterpretAsUInt8(substring(body, $1 + 1, 1)) < 128, 2, 3)
