from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class KeyValue(_message.Message):
    __slots__ = ("key", "value")
    KEY_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    key: str
    value: str
    def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...

class GatewayRecord(_message.Message):
    __slots__ = ("gateway", "record_id", "start_ns", "instance", "source", "kind", "ids", "trace_id", "trace_id_source", "parent_span_id", "outgoing_span_id", "is_sampled", "duration_ns", "client_ns", "gateway_ns", "cache_ns", "backend_ns", "resolution_ns", "method", "scheme", "host", "path", "route", "protocol", "status", "is_error", "api", "api_revision", "operation", "product", "consumer", "user", "region", "client_address", "backend_method", "backend_host", "backend_path", "backend_status", "backend_id", "attempts", "cache", "request_bytes", "response_bytes", "error_source", "error_scope", "error_section", "error_reason", "error_message", "error_elapsed_ns", "weight", "quality", "attributes", "raw", "is_probe")
    GATEWAY_FIELD_NUMBER: _ClassVar[int]
    RECORD_ID_FIELD_NUMBER: _ClassVar[int]
    START_NS_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    IDS_FIELD_NUMBER: _ClassVar[int]
    TRACE_ID_FIELD_NUMBER: _ClassVar[int]
    TRACE_ID_SOURCE_FIELD_NUMBER: _ClassVar[int]
    PARENT_SPAN_ID_FIELD_NUMBER: _ClassVar[int]
    OUTGOING_SPAN_ID_FIELD_NUMBER: _ClassVar[int]
    IS_SAMPLED_FIELD_NUMBER: _ClassVar[int]
    DURATION_NS_FIELD_NUMBER: _ClassVar[int]
    CLIENT_NS_FIELD_NUMBER: _ClassVar[int]
    GATEWAY_NS_FIELD_NUMBER: _ClassVar[int]
    CACHE_NS_FIELD_NUMBER: _ClassVar[int]
    BACKEND_NS_FIELD_NUMBER: _ClassVar[int]
    RESOLUTION_NS_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    SCHEME_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    ROUTE_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    IS_ERROR_FIELD_NUMBER: _ClassVar[int]
    API_FIELD_NUMBER: _ClassVar[int]
    API_REVISION_FIELD_NUMBER: _ClassVar[int]
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_FIELD_NUMBER: _ClassVar[int]
    CONSUMER_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    CLIENT_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    BACKEND_METHOD_FIELD_NUMBER: _ClassVar[int]
    BACKEND_HOST_FIELD_NUMBER: _ClassVar[int]
    BACKEND_PATH_FIELD_NUMBER: _ClassVar[int]
    BACKEND_STATUS_FIELD_NUMBER: _ClassVar[int]
    BACKEND_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    CACHE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_BYTES_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_BYTES_FIELD_NUMBER: _ClassVar[int]
    ERROR_SOURCE_FIELD_NUMBER: _ClassVar[int]
    ERROR_SCOPE_FIELD_NUMBER: _ClassVar[int]
    ERROR_SECTION_FIELD_NUMBER: _ClassVar[int]
    ERROR_REASON_FIELD_NUMBER: _ClassVar[int]
    ERROR_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    ERROR_ELAPSED_NS_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    QUALITY_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    RAW_FIELD_NUMBER: _ClassVar[int]
    IS_PROBE_FIELD_NUMBER: _ClassVar[int]
    gateway: str
    record_id: str
    start_ns: int
    instance: str
    source: str
    kind: str
    ids: _containers.RepeatedCompositeFieldContainer[KeyValue]
    trace_id: str
    trace_id_source: str
    parent_span_id: str
    outgoing_span_id: str
    is_sampled: bool
    duration_ns: int
    client_ns: int
    gateway_ns: int
    cache_ns: int
    backend_ns: int
    resolution_ns: int
    method: str
    scheme: str
    host: str
    path: str
    route: str
    protocol: str
    status: int
    is_error: bool
    api: str
    api_revision: str
    operation: str
    product: str
    consumer: str
    user: str
    region: str
    client_address: str
    backend_method: str
    backend_host: str
    backend_path: str
    backend_status: int
    backend_id: str
    attempts: int
    cache: str
    request_bytes: int
    response_bytes: int
    error_source: str
    error_scope: str
    error_section: str
    error_reason: str
    error_message: str
    error_elapsed_ns: int
    weight: float
    quality: _containers.RepeatedScalarFieldContainer[str]
    attributes: _containers.RepeatedCompositeFieldContainer[KeyValue]
    raw: str
    is_probe: bool
    def __init__(self, gateway: _Optional[str] = ..., record_id: _Optional[str] = ..., start_ns: _Optional[int] = ..., instance: _Optional[str] = ..., source: _Optional[str] = ..., kind: _Optional[str] = ..., ids: _Optional[_Iterable[_Union[KeyValue, _Mapping]]] = ..., trace_id: _Optional[str] = ..., trace_id_source: _Optional[str] = ..., parent_span_id: _Optional[str] = ..., outgoing_span_id: _Optional[str] = ..., is_sampled: _Optional[bool] = ..., duration_ns: _Optional[int] = ..., client_ns: _Optional[int] = ..., gateway_ns: _Optional[int] = ..., cache_ns: _Optional[int] = ..., backend_ns: _Optional[int] = ..., resolution_ns: _Optional[int] = ..., method: _Optional[str] = ..., scheme: _Optional[str] = ..., host: _Optional[str] = ..., path: _Optional[str] = ..., route: _Optional[str] = ..., protocol: _Optional[str] = ..., status: _Optional[int] = ..., is_error: _Optional[bool] = ..., api: _Optional[str] = ..., api_revision: _Optional[str] = ..., operation: _Optional[str] = ..., product: _Optional[str] = ..., consumer: _Optional[str] = ..., user: _Optional[str] = ..., region: _Optional[str] = ..., client_address: _Optional[str] = ..., backend_method: _Optional[str] = ..., backend_host: _Optional[str] = ..., backend_path: _Optional[str] = ..., backend_status: _Optional[int] = ..., backend_id: _Optional[str] = ..., attempts: _Optional[int] = ..., cache: _Optional[str] = ..., request_bytes: _Optional[int] = ..., response_bytes: _Optional[int] = ..., error_source: _Optional[str] = ..., error_scope: _Optional[str] = ..., error_section: _Optional[str] = ..., error_reason: _Optional[str] = ..., error_message: _Optional[str] = ..., error_elapsed_ns: _Optional[int] = ..., weight: _Optional[float] = ..., quality: _Optional[_Iterable[str]] = ..., attributes: _Optional[_Iterable[_Union[KeyValue, _Mapping]]] = ..., raw: _Optional[str] = ..., is_probe: _Optional[bool] = ...) -> None: ...

class GatewayRecords(_message.Message):
    __slots__ = ("records", "received_ns", "door", "tenant", "checksum")
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_NS_FIELD_NUMBER: _ClassVar[int]
    DOOR_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    CHECKSUM_FIELD_NUMBER: _ClassVar[int]
    records: _containers.RepeatedCompositeFieldContainer[GatewayRecord]
    received_ns: int
    door: str
    tenant: str
    checksum: int
    def __init__(self, records: _Optional[_Iterable[_Union[GatewayRecord, _Mapping]]] = ..., received_ns: _Optional[int] = ..., door: _Optional[str] = ..., tenant: _Optional[str] = ..., checksum: _Optional[int] = ...) -> None: ...
