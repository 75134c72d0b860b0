-- $1: the bytes of an AnyValue that is a list. JSON if it is an array of texts under 126 bytes each, as
-- header attributes and command lines are; else the bytes as base64 behind a marker.
-- The fold takes one item off the front in each step; each starts with \n, which bounds their number,
-- and what is left copies itself, so there is a limit. `walk` is (what is left, JSON so far).
arrayMap(
    walk -> if(
        startsWith($1, '*') AND walk.1 = '', concat(if(walk.2 = '', '[', walk.2), ']'),
        concat('data:application/x-otlp-value;base64,', base64Encode($1))),
    [arrayFold(
        (walk, step) -> if(
            NOT startsWith(walk.1, '\n') OR substring(walk.1, 3, 1) != '\n'
                OR reinterpretAsUInt8(substring(walk.1, 2, 1)) NOT BETWEEN 2 AND 127,
            (if(walk.1 = '', '', '*'), walk.2),
            (substring(walk.1, 3 + reinterpretAsUInt8(substring(walk.1, 2, 1))),
             concat(walk.2, if(walk.2 = '', '[', ','), toJSONString(substring(walk.1, 5, reinterpretAsUInt8(substring(walk.1, 2, 1)) - 2))))),
        range(if(length($1) > 32768, 0, least(countSubstrings($1, '\n'), 129))),
        (substring($1, multiIf(length($1) <= 129, 3, length($1) <= 16386, 4, 5)), ''))])[1]
