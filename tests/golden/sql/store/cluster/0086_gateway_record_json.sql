ALTER TABLE hopline.gateway_record_local ON CLUSTER mesh
ADD COLUMN IF NOT EXISTS record_json String MATERIALIZED toJSONString((
    gateway, record_id, start_ns, instance, source, kind, ids, trace_id, trace_id_source,
    parent_span_id, outgoing_span_id, is_sampled, duration_ns, client_ns, gateway_ns, cache_ns,
    backend_ns, resolution_ns, method, scheme, host, path, route, protocol, status, is_error, api,
    api_revision, operation, product, consumer, user, region, client_address, backend_method,
    backend_host, backend_path, backend_status, backend_id, attempts, cache, request_bytes,
    response_bytes, error_source, error_scope, error_section, error_reason, error_message,
    error_elapsed_ns, weight, quality, attributes, is_probe)) CODEC(ZSTD(1))
