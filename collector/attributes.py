"""
Attribute names that Hopline writes itself: what a decoder notes for the rules that stitch.

In: nothing. Out: names. They stand below both rooms, so that neither has to know the other. The
names are stored with the data: they cannot change.
"""

SENT_END = "hopline.sent_end_time_unix_nano"
"""The end that was sent of a span whose end was set to its start."""

SHARED_ID = "zipkin.shared_id"
"""The id under which a server's half of a span was sent that shares its client's id."""

SHARED_PARENT_ID = "zipkin.shared_parent_id"
"""The parent that a server's half of a shared span named: its client's parent."""

PARTIAL = "zipkin.partial"
"""What a report of a span left out (`timestamp`): another report of the same span may have it."""

DURATION_US = "zipkin.duration_us"
"""The duration in microseconds of a report without a timestamp."""

OTHER_NAME = "hopline.other_service_name"
"""The service under whose name the same span was sent as well."""

GRPC_STATUS = "rpc.grpc.status_code"
"""The gRPC status that a gateway's record tells of, as a number."""

GRPC_MESSAGE = "rpc.grpc.message"
"""The text beside it."""

WAF_RULE = "waf.rule."
"""Beginning of the names under which a firewall's rules that matched are kept: action, message."""

HANDLED_ERRORS = "gateway.handled_errors"
"""Errors that a gateway dealt with by itself before it answered well: a JSON array of objects with
`reason`, `message`, `source` and `section`, in their order."""

REQUEST_KEY = "app_insights.request"
"""What the rows of one request in Application Insights have in common."""

EXPORTED_RECORD = "hopline.record_id"
"""The id of the gateway record that a span was made of by Hopline's export, with the gateway in the
next one: another Hopline that is sent the span knows that record by them."""

EXPORTED_GATEWAY = "hopline.gateway"

EXPORTED_INFERRED = "hopline.inferred"
"""True on an exported span of a hop that sent none itself."""

EXPORTED_FIELDS = {
    "hopline.instance": "instance",
    "hopline.api": "api",
    "hopline.api_revision": "api_revision",
    "hopline.operation": "operation",
    "hopline.product": "product",
    "hopline.consumer": "consumer",
    "hopline.region": "region",
    "hopline.backend.host": "backend_host",
    "hopline.backend.status": "backend_status",
    "hopline.backend.attempts": "attempts",
    "hopline.cache": "cache",
    "hopline.error.source": "error_source",
    "hopline.error.section": "error_section",
    "hopline.error.reason": "error_reason",
}
"""Attributes of an exported span that are fields of its record as they stand."""
