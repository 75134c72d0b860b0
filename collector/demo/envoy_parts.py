"""
The pieces of an Envoy configuration that a description switches on and off.

Each function returns the JSON form of one protobuf message of Envoy's v3 API.

Source: Envoy 1.40 API v3 (config.trace, extensions.access_loggers, extensions.filters.http).
"""

from collections.abc import Iterable
from typing import Any

from collector.demo.topology import (
    SERVICE_PORT,
    AccessLog,
    Fault,
    RateLimit,
    Route,
    Service,
    Tracer,
)

Json = dict[str, Any]

TYPE = "type.googleapis.com/"
OTLP_CLUSTER = "opentelemetry-collector"
OTLP_HTTP_CLUSTER = "opentelemetry-collector-http"
ZIPKIN_CLUSTER = "zipkin"
ALS_CLUSTER = "access-log-service"
AUTHORIZATION_CLUSTER = "authorization"
_ASKS_FIRST = "envoy.filters.http.ext_authz"
FLUSH_MS = 200  # Envoy's own default is 5,000 ms
OTLP_LOG_FLUSH_MS = 1000  # Envoy 1.40 takes no other, whatever its configuration says (measured)

# Istio's default JSON keys, plus the trace id that its default lacks.
JSON_LOG_FORMAT = {
    "start_time": "%START_TIME%",
    "method": "%REQ(:METHOD)%",
    "path": "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
    "protocol": "%PROTOCOL%",
    "response_code": "%RESPONSE_CODE%",
    "response_flags": "%RESPONSE_FLAGS%",
    "response_code_details": "%RESPONSE_CODE_DETAILS%",
    "bytes_received": "%BYTES_RECEIVED%",
    "bytes_sent": "%BYTES_SENT%",
    "duration": "%DURATION%",
    "upstream_service_time": "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%",
    "request_id": "%REQ(X-REQUEST-ID)%",
    "authority": "%REQ(:AUTHORITY)%",
    "upstream_host": "%UPSTREAM_HOST%",
    "upstream_cluster": "%UPSTREAM_CLUSTER_RAW%",
    "downstream_remote_address": "%DOWNSTREAM_REMOTE_ADDRESS%",
    "route_name": "%ROUTE_NAME%",
    "trace_id": "%TRACE_ID%",
}

# Istio's default text, which its OTLP access logs carry as the body.
TEXT_LOG_FORMAT = (
    '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" '
    "%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% "
    '%CONNECTION_TERMINATION_DETAILS% "%UPSTREAM_TRANSPORT_FAILURE_REASON%" %BYTES_RECEIVED% '
    '%BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" '
    '"%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" '
    "%UPSTREAM_CLUSTER_RAW% %UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% "
    "%DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME%\n"
)


def runtime() -> Json:
    """Make tracers flush soon, so that a person who waits does not wait for a buffer."""
    values = {
        f"tracing.{tracer}.{name}": value
        for tracer in ("opentelemetry", "zipkin")
        for name, value in (("flush_interval_ms", FLUSH_MS), ("min_flush_spans", 5))
    }
    return {"layers": [{"name": "static", "static_layer": values}]}


def tracing(tracer: Tracer, service_name: str, *, spawns: bool, tags: dict[str, str]) -> Json:
    """Build the `tracing` part of the connection manager, with Istio's custom tags."""
    percent = {"value": 100.0}
    return {
        "client_sampling": percent,
        "random_sampling": {"value": tracer.sampling_percent},
        "overall_sampling": percent,
        "spawn_upstream_span": spawns,
        "custom_tags": [{"tag": name, "literal": {"value": value}} for name, value in tags.items()],
        "provider": _provider(tracer, service_name),
    }


def _provider(tracer: Tracer, service_name: str) -> Json:
    if tracer.protocol in ("zipkin-json", "zipkin-protobuf"):
        version = "HTTP_JSON" if tracer.protocol == "zipkin-json" else "HTTP_PROTO"
        config: Json = {
            "@type": TYPE + "envoy.config.trace.v3.ZipkinConfig",
            "collector_cluster": ZIPKIN_CLUSTER,
            "collector_endpoint": "/api/v2/spans",
            "collector_endpoint_version": version,
            "collector_hostname": ZIPKIN_CLUSTER,
            "trace_id_128bit": tracer.is_trace_id_128_bit,
            "shared_span_context": tracer.is_span_shared,
        }
        if tracer.is_w3c_accepted:
            config["trace_context_option"] = "USE_B3_WITH_W3C_PROPAGATION"
        return {"name": "envoy.tracers.zipkin", "typed_config": config}
    config = {
        "@type": TYPE + "envoy.config.trace.v3.OpenTelemetryConfig",
        "service_name": service_name,
    }
    if tracer.protocol == "otlp-http":
        uri = {"uri": "http://collector/v1/traces", "cluster": OTLP_HTTP_CLUSTER, "timeout": "2s"}
        config["http_service"] = {"http_uri": uri}
    else:
        config["grpc_service"] = _grpc_service(OTLP_CLUSTER)
    return {"name": "envoy.tracers.opentelemetry", "typed_config": config}


def _grpc_service(cluster: str) -> Json:
    return {"envoy_grpc": {"cluster_name": cluster}, "timeout": "2s"}


def access_logs(kinds: Iterable[AccessLog], file_path: str, service: str) -> list[Json]:
    """Build the access loggers that every listener of a proxy gets."""
    loggers = {
        "otlp": _otlp_log(service),
        "grpc-als": _grpc_log(),
        "json-file": _file_log(file_path),
    }
    return [loggers[kind] for kind in kinds]


def _otlp_log(service: str) -> Json:
    name = "envoy.extensions.access_loggers.open_telemetry.v3.OpenTelemetryAccessLogConfig"
    labels = {
        "service": service,
        "request_id": "%REQ(X-REQUEST-ID)%",
        "traceparent": "%REQ(TRACEPARENT)%",
        "response_code": "%RESPONSE_CODE%",
        "response_flags": "%RESPONSE_FLAGS%",
        "response_code_details": "%RESPONSE_CODE_DETAILS%",
        "duration": "%DURATION%",
        "request_duration": "%REQUEST_DURATION%",
        "response_duration": "%RESPONSE_DURATION%",
        "response_tx_duration": "%RESPONSE_TX_DURATION%",
        "upstream_request_attempt_count": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
        "upstream_cluster": "%UPSTREAM_CLUSTER_RAW%",
        "upstream_host": "%UPSTREAM_HOST%",
        "bytes_received": "%BYTES_RECEIVED%",
        "bytes_sent": "%BYTES_SENT%",
    }
    values = [{"key": key, "value": {"string_value": text}} for key, text in labels.items()]
    config = {
        "@type": TYPE + name,
        "log_name": "otel_envoy_accesslog",
        "grpc_service": _grpc_service(OTLP_CLUSTER),
        "disable_builtin_labels": True,  # as Istio does: the resource stays empty
        "body": {"string_value": TEXT_LOG_FORMAT},
        "attributes": {"values": values},
    }
    return {"name": "envoy.access_loggers.open_telemetry", "typed_config": config}


def _grpc_log() -> Json:
    config = {
        "@type": TYPE + "envoy.extensions.access_loggers.grpc.v3.HttpGrpcAccessLogConfig",
        "common_config": {
            "log_name": "http_envoy_accesslog",
            "transport_api_version": "V3",
            "grpc_service": _grpc_service(ALS_CLUSTER),
            "buffer_flush_interval": seconds(FLUSH_MS),
        },
        "additional_request_headers_to_log": ["traceparent", "x-b3-traceid", "x-b3-spanid"],
    }
    return {"name": "envoy.access_loggers.http_grpc", "typed_config": config}


def _file_log(path: str) -> Json:
    config = {
        "@type": TYPE + "envoy.extensions.access_loggers.file.v3.FileAccessLog",
        "path": path,
        "log_format": {"json_format": JSON_LOG_FORMAT},
    }
    return {"name": "envoy.access_loggers.file", "typed_config": config}


def http_filters() -> list[Json]:
    """Install the filters that routes configure for themselves, and the router at the end."""
    prefix = "envoy.extensions.filters.http."
    limit = {
        "@type": TYPE + prefix + "local_ratelimit.v3.LocalRateLimit",
        "stat_prefix": "http_local_rate_limiter",
    }
    return [
        {
            "name": "envoy.filters.http.fault",
            "typed_config": {"@type": TYPE + prefix + "fault.v3.HTTPFault"},
        },
        {"name": "envoy.filters.http.local_ratelimit", "typed_config": limit},
        {"name": _ASKS_FIRST, "disabled": True, "typed_config": _authorization()},
        {
            "name": "envoy.filters.http.router",
            "typed_config": {"@type": TYPE + prefix + "router.v3.Router"},
        },
    ]


def _authorization() -> Json:
    """Ask the authorization service, which is down, as routes that turn this on do."""
    uri = {"uri": "http://authorization", "cluster": AUTHORIZATION_CLUSTER, "timeout": "1s"}
    return {
        "@type": TYPE + "envoy.extensions.filters.http.ext_authz.v3.ExtAuthz",
        "http_service": {"server_uri": uri},
    }


def route_filters(
    fault: Fault | None, limit: RateLimit | None, *, asks_first: bool = False
) -> Json:
    """Build `typed_per_filter_config`: the faults and limits of one route, and whom it asks."""
    prefix = TYPE + "envoy.extensions.filters.http."
    configs: Json = {}
    if fault is not None:
        config: Json = {"@type": prefix + "fault.v3.HTTPFault"}
        if fault.delay_ms:
            config["delay"] = {
                "fixed_delay": seconds(fault.delay_ms),
                "percentage": _percentage(fault.delay_percent),
            }
        if fault.abort_status:
            config["abort"] = {
                "http_status": fault.abort_status,
                "percentage": _percentage(fault.abort_percent),
            }
        configs["envoy.filters.http.fault"] = config
    if limit is not None:
        always = {"default_value": _percentage(100)}
        configs["envoy.filters.http.local_ratelimit"] = {
            "@type": prefix + "local_ratelimit.v3.LocalRateLimit",
            "stat_prefix": "http_local_rate_limiter",
            "token_bucket": {
                "max_tokens": limit.tokens,
                "tokens_per_fill": limit.tokens,
                "fill_interval": seconds(limit.interval_ms),
            },
            "filter_enabled": always,
            "filter_enforced": always,
        }
    if asks_first:
        per_route = {"@type": prefix + "ext_authz.v3.ExtAuthzPerRoute", "check_settings": {}}
        switch = {"@type": TYPE + "envoy.config.route.v3.FilterConfig", "config": per_route}
        configs[_ASKS_FIRST] = switch
    return configs


def _percentage(numerator: int) -> Json:
    return {"numerator": numerator, "denominator": "HUNDRED"}


def route_action(route: Route, cluster: str, mirror_cluster: str) -> Json:
    """Build what a route does: cluster, timeout, retries, hedging, mirror."""
    action: Json = {"cluster": cluster, "timeout": seconds(route.timeout_ms)}
    if route.idle_timeout_ms:
        action["idle_timeout"] = seconds(route.idle_timeout_ms)
    if route.retries:
        policy: Json = {
            "retry_on": route.retry_on,
            "num_retries": route.retries,
            "retry_back_off": {"base_interval": "0.025s"},
        }
        if route.per_try_timeout_ms:
            policy["per_try_timeout"] = seconds(route.per_try_timeout_ms)
        action["retry_policy"] = policy
    if route.is_hedged:
        action["hedge_policy"] = {"hedge_on_per_try_timeout": True}
    if mirror_cluster:
        action["request_mirror_policies"] = [{"cluster": mirror_cluster}]
    return action


def outbound_cluster(service: Service, ports: Iterable[int], route: Route | None) -> Json:
    """Build the cluster to another service's pods, with the route's circuit breakers."""
    # Over HTTP/1 what meets the limit may wait for the connection instead of being refused.
    is_limited = route is not None and route.max_requests > 0
    built = cluster(f"outbound|{SERVICE_PORT}||{service.host}", *ports, is_http2=is_limited)
    limits = {
        "max_requests": route.max_requests if route else 0,
        "max_pending_requests": route.max_pending if route else 0,
        "max_connections": route.max_connections if route else 0,
    }
    set_limits = {name: value for name, value in limits.items() if value}
    if set_limits:
        built["circuit_breakers"] = {"thresholds": [set_limits]}
    if service.has_no_endpoints:
        built["load_assignment"]["endpoints"] = []
    return built


def cluster(name: str, *ports: int, is_http2: bool = False) -> Json:
    """Build a cluster with an endpoint on this machine for each port."""
    endpoints = [
        {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}}}
        for port in ports
    ]
    built: Json = {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": endpoints}],
        },
    }
    if is_http2:
        protocol = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
        built["typed_extension_protocol_options"] = {
            protocol: {
                "@type": TYPE + protocol,
                "explicit_http_config": {"http2_protocol_options": {}},
            }
        }
    return built


def seconds(duration_ms: int) -> str:
    """Write milliseconds as protobuf's JSON duration."""
    return f"{duration_ms / 1000:g}s"
