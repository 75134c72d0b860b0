-- $1: the bytes of an AnyValue that is an array or a key-value list of up to 16 KiB, as its items.
-- The fold walks from item to item by their lengths; each starts with \n, which bounds their number.
-- More than 128 items give ['*'], a list within: the walk copies its result at every step.
arrayMap(body -> arrayMap(
        ends -> if(ends[-1] <= length(body), ['*'], arrayMap(
            at -> substring(body, at + {{item_head:at}}, {{item_length:at}}), arrayPopBack(ends))),
        [arrayFold(
            (ends, step) -> if(
                ends[-1] > length(body), ends,
                arrayPushBack(ends, ends[-1] + {{item_head:ends[-1]}} + {{item_length:ends[-1]}})),
            range(least(countSubstrings(body, '\n'), 128)), [toUInt64(1)])])[1],
    [substring($1, if(length($1) <= 129, 3, 4))])[1]
