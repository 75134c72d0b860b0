"""
Traffic logs of Google's Cloud Service Mesh (Anthos, ASM): a `LogEntry` for each request.

The request lies in `httpRequest`, what else the proxy knows in `labels`.

Source: Cloud Logging, LogEntry and HttpRequest (`latency` is text with its unit, sizes are text);
Cloud Service Mesh, "Request proxy logs"; istio/proxy extensions/stackdriver/log/logger.cc.
"""

from collections.abc import Mapping
from typing import Any

from collector.decode.fields import Row, read_object, read_text
from collector.decode.urls import split_target

_LOGS = ("server-accesslog-stackdriver", "client-accesslog-stackdriver")
_SIGNS = frozenset(("response_flag", "upstream_cluster", "destination_workload", "mesh_uid"))
_OF_REQUEST = {
    "method": "requestMethod",
    "response_code": "status",
    "duration": "latency",
    "bytes_received": "requestSize",
    "bytes_sent": "responseSize",
    "user_agent": "userAgent",
    "client_address": "remoteIp",
    "upstream_host": "serverIp",
    "protocol": "protocol",
}
_OF_LABELS = {
    "request_id": "request_id",
    "response_flags": "response_flag",
    "response_code_details": "response_details",
    "upstream_cluster": "upstream_cluster",
    "upstream_service_time": "upstream_service_time",
    "upstream_transport_failure_reason": "upstream_transport_failure_reason",
    "connection_termination_details": "connection_termination_details",
    "route_name": "route_name",
    "requested_server_name": "requested_server_name",
    "grpc_status": "grpc_status",
    "x_forwarded_for": "x_forwarded_for",
}
_GRPC = "grpc"


def is_entry(row: Row) -> bool:
    """Tell whether *row* is an entry of these logs."""
    labels = row.get("labels")
    if labels.__class__ is not dict or "timestamp" not in row:
        return False
    named = str(row.get("logName", "")).rpartition("/")[2]
    return named in _LOGS or ("httpRequest" in row and not _SIGNS.isdisjoint(labels))


def read_facts(row: Row) -> dict[str, Any]:
    """
    Return the facts of an entry under the names of `fields.NAMES`.

    Raises:
        FieldError: the request or the labels are no object.
    """
    request = read_object(row, "httpRequest")
    labels: Mapping[str, Any] = read_object(row, "labels")
    url = split_target(read_text(request, "requestUrl", within="httpRequest."))
    facts: dict[str, Any] = {
        "start_time": row.get("timestamp"),
        "scheme": url.scheme,
        "authority": url.host,
        "path": f"{url.path}?{url.query}" if url.query else url.path,
        "trace_id": row.get("trace"),
        "span_id": row.get("spanId"),
        "sampled": row.get("traceSampled"),
        "node_id": read_object(read_object(row, "resource"), "labels").get("pod_name"),
    }
    facts |= {name: request.get(key) for name, key in _OF_REQUEST.items()}
    facts |= {name: labels.get(key) for name, key in _OF_LABELS.items()}
    if host := labels.get("upstream_host"):
        facts["upstream_host"] = host
    if read_text(labels, "protocol", within="labels.") == _GRPC:
        facts["content_type"] = "application/grpc"
    # the service that was called, where the cluster does not name it
    facts["upstream_cluster"] = facts["upstream_cluster"] or labels.get("destination_service_name")
    return facts
