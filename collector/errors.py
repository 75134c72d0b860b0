"""
The errors, and what each one tells the other side.

    CollectorError                       http  grpc                 retryable
    ├─ Refused (the sender's envelope)
    │   ├─ Unauthenticated               401   UNAUTHENTICATED      no
    │   ├─ WrongTenant                   403   PERMISSION_DENIED    no
    │   ├─ ForeignPage                   403   PERMISSION_DENIED    no
    │   ├─ UnknownDoor                   404   UNIMPLEMENTED        no
    │   ├─ WrongMethod                   405   UNIMPLEMENTED        no
    │   ├─ UnsupportedFormat             415   UNIMPLEMENTED        no
    │   ├─ TooLarge                      413   RESOURCE_EXHAUSTED   no
    │   ├─ Undecodable                   400   INVALID_ARGUMENT     no
    │   ├─ TooSlow                       408   INVALID_ARGUMENT     no
    │   ├─ Overloaded                    429   UNAVAILABLE          yes
    │   └─ Congested                     503   UNAVAILABLE          yes
    ├─ StoreError
    │   ├─ StoreUnavailable              503   UNAVAILABLE          yes
    │   └─ StoreRejectedRows             500   INTERNAL             no
    ├─ JournalError                      503   UNAVAILABLE          yes
    ├─ PullError (a source we poll)
    │   ├─ SourceDenied                  502   UNAVAILABLE          no
    │   │   └─ SearchOnly                502   UNAVAILABLE          no
    │   └─ SourceUnavailable             502   UNAVAILABLE          yes
    ├─ ConfigError                       500   INTERNAL             no
    └─ QueryError
        ├─ BadQuestion                   400   INVALID_ARGUMENT     no
        ├─ NotFound                      404   NOT_FOUND            no
        ├─ TooExpensive                  422   RESOURCE_EXHAUSTED   no
        └─ QueryTimeout                  504   DEADLINE_EXCEEDED    yes

The two edges (HTTP and gRPC) read these attributes and hold no table of their own. OTLP clients
retry 429, 502, 503 and 504 only, so each retryable class maps to one of them.
"""

from typing import ClassVar


class CollectorError(Exception):
    """
    Everything Hopline raises on purpose.

    `code` is the stable word in REST error bodies and metric labels; `hint` says what to do.
    `is_counted` is set by whoever counts it, so that no refusal is counted twice.
    """

    code: ClassVar[str] = "internal"
    http_status: ClassVar[int] = 500
    grpc_status: ClassVar[str] = "INTERNAL"
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, hint: str = "", retry_after_s: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.retry_after_s = retry_after_s
        self.is_counted = False

    def forget_frames(self) -> None:
        """
        Let go of the frames that the error came through, when it has come to its end.

        They hold the body of the request, and whoever keeps the error in a variable is one of them:
        such a circle stays in memory until cycles are looked for.
        """
        error: BaseException | None = self
        while error is not None:
            error.__traceback__ = None
            error = error.__cause__ or error.__context__


class Refused(CollectorError):
    """
    The whole envelope is not taken; the sender is told.

    `who` is the name of the token that it came with, where one was known.
    """

    who = ""
    code = "refused"
    http_status = 400
    grpc_status = "INVALID_ARGUMENT"


class Unauthenticated(Refused):
    """No token, or one that is not known. Never retried."""

    code = "unauthenticated"
    http_status = 401
    grpc_status = "UNAUTHENTICATED"


class WrongTenant(Refused):
    """The request names a tenant that it may not name, or that is not there. Never retried."""

    code = "wrong_tenant"
    http_status = 403
    grpc_status = "PERMISSION_DENIED"


class ForeignPage(Refused):
    """A browser asks for a page of another site. Never retried."""

    code = "foreign_page"
    http_status = 403
    grpc_status = "PERMISSION_DENIED"


class UnknownDoor(Refused):
    """The path or the adapter does not exist. Never retried."""

    code = "unknown_door"
    http_status = 404
    grpc_status = "UNIMPLEMENTED"


class WrongMethod(Refused):
    """The path exists, but not for this HTTP method. Never retried."""

    code = "wrong_method"
    http_status = 405
    grpc_status = "UNIMPLEMENTED"


class UnsupportedFormat(Refused):
    """Content type or encoding that this door does not read. Never retried."""

    code = "unsupported_format"
    http_status = 415
    grpc_status = "UNIMPLEMENTED"


class TooLarge(Refused):
    """
    Over a size cap, before or after decompression. Never retried.

    Over gRPC it carries no RetryInfo: the OTLP specification reads that as final.
    """

    code = "too_large"
    http_status = 413
    grpc_status = "RESOURCE_EXHAUSTED"


class Undecodable(Refused):
    """The bytes are not what their content type says. Never retried."""

    code = "undecodable"
    http_status = 400
    grpc_status = "INVALID_ARGUMENT"


class TooSlow(Refused):
    """The bytes come so slowly that others would wait for their memory. Never retried."""

    code = "too_slow"
    http_status = 408
    grpc_status = "INVALID_ARGUMENT"


class Overloaded(Refused):
    """Too much at once; the same bytes are welcome later. Retryable."""

    code = "overloaded"
    http_status = 429
    grpc_status = "UNAVAILABLE"
    retryable = True


class Congested(Refused):
    """More comes than is worked at in time; the same bytes are welcome later. Retryable."""

    code = "congested"
    http_status = 503
    grpc_status = "UNAVAILABLE"
    retryable = True


class StoreError(CollectorError):
    """ClickHouse did not do what was asked."""

    code = "store"


class StoreUnavailable(StoreError):
    """ClickHouse does not answer. Retryable."""

    code = "store_unavailable"
    http_status = 503
    grpc_status = "UNAVAILABLE"
    retryable = True


class StoreRejectedRows(StoreError):
    """ClickHouse answers and refuses these rows for good: they go to the dead letter."""

    code = "store_rejected_rows"


class JournalError(CollectorError):
    """The journal cannot make bytes durable (quota, disk full, I/O error). Retryable."""

    code = "journal"
    http_status = 503
    grpc_status = "UNAVAILABLE"
    retryable = True


class PullError(CollectorError):
    """A source that Hopline polls did not answer as needed."""

    code = "pull"
    http_status = 502
    grpc_status = "UNAVAILABLE"


class SourceDenied(PullError):
    """The source refuses us (401, 403, 404, a wrong query): an operator has to act."""

    code = "source_denied"


class SearchOnly(SourceDenied):
    """A Log Analytics table on the Basic or Auxiliary plan: only `/search` may ask it."""

    code = "search_only"


class SourceUnavailable(PullError):
    """The source is throttling or down. Retryable."""

    code = "source_unavailable"
    retryable = True


class ConfigError(CollectorError):
    """A setting that cannot work. The process does not start."""

    code = "config"


class QueryError(CollectorError):
    """A question that gets no answer."""

    code = "query"


class BadQuestion(QueryError):
    """A parameter that cannot be understood; the message names it."""

    code = "bad_question"
    http_status = 400
    grpc_status = "INVALID_ARGUMENT"


class UnknownParameter(BadQuestion):
    """A parameter that the question does not have; the hint names those that it has."""

    code = "unknown_parameter"
    http_status = 422


class NotFound(QueryError):
    """Nothing is known under this id (yet)."""

    code = "not_found"
    http_status = 404
    grpc_status = "NOT_FOUND"


class TooExpensive(QueryError):
    """The answer would read more than the limits allow; the hint says how to narrow it."""

    code = "too_expensive"
    http_status = 422
    grpc_status = "RESOURCE_EXHAUSTED"


class QueryTimeout(QueryError):
    """The store did not answer in time. Retryable."""

    code = "query_timeout"
    http_status = 504
    grpc_status = "DEADLINE_EXCEEDED"
    retryable = True
