CREATE VIEW IF NOT EXISTS hopline.hops ON CLUSTER mesh AS
SELECT
    fromUnixTimestamp64Nano(start_ns) AS start,
    bucket, request_id, trace_id, weight, gateway, api, operation, is_error AS request_is_error,
    index - 1 AS index,
    parent, role, service, name, caller, pod, node, zone, version, upstream,
    start_offset_ns / 1e6 AS start_offset_ms,
    hop_duration_ns / 1e6 AS duration_ms,
    self_ns / 1e6 AS self_ms,
    critical_ns / 1e6 AS critical_ms,
    proxy_ns / 1e6 AS proxy_ms,
    attempt, attempts, status, is_error_of_hop AS is_error, flags_of_hop AS flags,
    is_inferred AS inferred, is_mirrored AS mirrored, is_async AS async
FROM hopline.request FINAL
ARRAY JOIN
    arrayEnumerate(hop.service) AS index,
    hop.parent AS parent, hop.role AS role, hop.service AS service, hop.operation AS name, hop.caller AS caller,
    hop.pod AS pod, hop.node AS node, hop.zone AS zone, hop.version AS version, hop.upstream AS upstream,
    hop.start_offset_ns AS start_offset_ns, hop.duration_ns AS hop_duration_ns, hop.self_ns AS self_ns,
    hop.critical_ns AS critical_ns, hop.proxy_ns AS proxy_ns, hop.attempt AS attempt, hop.attempts AS attempts,
    hop.status AS status, hop.is_error AS is_error_of_hop, hop.flags AS flags_of_hop,
    hop.is_inferred AS is_inferred, hop.is_mirrored AS is_mirrored, hop.is_async AS is_async
WHERE NOT is_probe
