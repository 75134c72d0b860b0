"""
What all doors of the ingest process share, and how a request over HTTP comes in through any of
them.
"""

import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from collector.clock import Clock
from collector.errors import CollectorError
from collector.http.asgi import App, Receive, Scope
from collector.http.headers import Headers, content_encoding, content_length, peer
from collector.http.origins import Origins, OwnPagesOnly
from collector.http.server import open_http_server
from collector.http.tenants import Gate, Tenancy
from collector.http.tokens import Caller, Tokens
from collector.intake import Intake
from collector.model import Envelope, Receipt
from collector.receive.body import Admission, inflate, read_body
from collector.receive.work_queue import WorkQueue
from collector.settings import ReceiveSettings
from collector.telemetry import Metrics

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Doorway:
    """Where requests go, the memory they may take, their turns, the time, and who may send."""

    settings: ReceiveSettings
    intake: Intake
    metrics: Metrics
    admission: Admission
    queue: WorkQueue
    clock: Clock
    gate: Gate

    @classmethod
    def of(
        cls, settings: ReceiveSettings, intake: Intake, metrics: Metrics, clock: Clock
    ) -> "Doorway":
        """Return the one doorway of a process."""
        admission = Admission(settings.max_inflight_bytes, metrics)
        tokens = Tokens(settings.tokens, "HOPLINE_INGEST_TOKENS", settings.token_file)
        gate = Gate(tokens, Tenancy(settings.tenants))
        return cls(settings, intake, metrics, admission, WorkQueue(metrics), clock, gate)

    async def accept(
        self,
        scope: Scope,
        receive: Receive,
        headers: Headers,
        caller: Caller,
        envelope: Callable[[bytes, int], Envelope],
    ) -> Receipt:
        """
        Read a request's body as its sender may, and have it accepted in its tenant's name.

        *envelope* makes one of the inflated body and the time, Unix ns, at which it was here.

        Raises:
            CollectorError: why it was not accepted.
        """
        intake = self.intake.of(caller.tenant)
        intake.check_room()
        sender = peer(scope), caller
        self.queue.check(sender)
        length, limit = content_length(headers), self.settings.max_body_bytes
        async with self.admission.claim(sender) as claim:
            body = await read_body(receive, claim, length, limit)
            received_ns = self.clock.now_ns()
            async with self.queue.turn(claim):
                body = await inflate(body, content_encoding(headers), claim, limit)
                return await intake.accept(envelope(body, received_ns))

    def keep_pages_out(self, app: App) -> App:
        """Return *app* for programs: without tokens no page of another site may send to it."""
        settings = self.settings
        is_open = not (settings.tokens or settings.token_file)
        return OwnPagesOnly(app, Origins(settings.bind, settings.allowed_hosts, is_open=is_open))


def open_http_door(doorway: Doorway, app: App, port: int) -> AbstractAsyncContextManager[int]:
    """Serve *app* on *port* to programs; see `open_http_server`."""
    settings = doorway.settings
    return open_http_server(
        doorway.keep_pages_out(app),
        settings.bind,
        port,
        tls=settings.tls,
        is_shared=settings.shares_ports,
    )


def as_refusal(exc: Exception) -> CollectorError:
    """Return what the sender is told; what is no refusal is logged as a fault of ours."""
    if isinstance(exc, CollectorError):
        return exc
    _log.error("a request failed", exc_info=exc)
    return CollectorError("an internal error; the request was not accepted")
