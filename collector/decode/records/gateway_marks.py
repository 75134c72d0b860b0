"""
Which traces of a trace message a gateway may have had a part in.

A look at the bytes comes first: where no gateway sends spans, nothing is parsed. What is found is a
superset; `gateway_spans.views_from_spans` decides, with all spans of these services at hand.

Source: the rules of `gateway_spans`.
"""

from collections.abc import Sequence
from functools import lru_cache
from mmap import mmap
from typing import Any, NamedTuple

import re2
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans

from collector.attributes import EXPORTED_RECORD
from collector.decode.records.from_spans import ServiceRule
from collector.errors import Undecodable

_KEYS = frozenset({"kong.request.id", "spring.cloud.gateway.route.id", EXPORTED_RECORD})
_CLUSTERS = frozenset({"upstream_cluster", "upstream_cluster.name"})
_ROUTES = ("httproute/", "grpcroute/")
_SCOPES = frozenset({"kong-internal", "nginx"})
_SERVICES = frozenset({"nginx", "ingress-nginx"})
# Each is part of what it stands for: `nginx` also of the service `ingress-nginx`.
_MARKS = tuple(text.encode() for text in (*sorted(_KEYS | _SCOPES), *_ROUTES))


class Marked(NamedTuple):
    """Traces with a mark of a gateway, and the services that sent the marked spans."""

    trace_ids: frozenset[str]
    services: frozenset[str]


def has_marks(body: bytes | mmap, rules: Sequence[ServiceRule]) -> bool:
    """Tell whether *body*, a message or a file of them, can hold a span of a gateway."""
    return _pattern(tuple(rule.service for rule in rules)).search(body) is not None


def find_marked(message: bytes, rules: Sequence[ServiceRule]) -> Marked:
    """
    Return the traces and services of *message* (an ExportTraceServiceRequest) that bear a mark.

    Raises:
        Undecodable: it is no such message. Never retried.
    """
    try:
        request = ExportTraceServiceRequest.FromString(message)
    except DecodeError as exc:
        raise Undecodable(f"not a journal message with spans: {exc}") from exc
    named = _SERVICES | {rule.service for rule in rules}
    trace_ids: set[str] = set()
    services: set[str] = set()
    for resource in request.resource_spans:
        attributes = resource.resource.attributes
        service = next((a.value.string_value for a in attributes if a.key == "service.name"), "")
        for scope in resource.scope_spans:
            found = _marked_in(scope, is_named=service in named)
            if found:
                trace_ids |= found
                services.add(service)
    return Marked(frozenset(trace_ids), frozenset(services))


@lru_cache(16)
def _pattern(services: tuple[str, ...]) -> Any:
    # One pass of RE2 takes 0.6 us a span; to look for one mark after the other 0.9.
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.never_capture = True
    marks = (*_MARKS, *(service.encode() for service in services))
    return re2.compile(b"|".join(re2.escape(mark) for mark in marks), options)


def _marked_in(scope: ScopeSpans, *, is_named: bool) -> set[str]:
    is_whole = is_named or scope.scope.name in _SCOPES
    return {
        span.trace_id.hex()
        for span in scope.spans
        if is_whole or any(_is_mark(pair) for pair in span.attributes)
    }


def _is_mark(pair: KeyValue) -> bool:
    return pair.key in _KEYS or (
        pair.key in _CLUSTERS and pair.value.string_value.startswith(_ROUTES)
    )
