-- The keys of a log record's ids as the id index has them: trace ids of 32 digits, request ids masked.
-- A trace id's field may hold a request id (Linkerd writes whichever header there is).
arrayDistinct(arrayFilter(key -> key != '', arrayMap(
    pair -> arrayMap(
        digits -> multiIf(
            pair.1 LIKE '%request%' OR digits = '', {{request_id_key:pair.2}},
            match(digits, '[1-9a-f]'), leftPad(digits, 32, '0'),
            ''),
        [extract(lower(trimBoth(pair.2)), '^(?:[0-9a-f]{2}-)?([0-9a-f]{32}|[0-9a-f]{16})(?:-|$)')])[1],
    {{log_ids}})))
