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
