"""
What the lab does to a request, and what Hopline has to say about it: plain frozen values.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from collector.demo.topology import Route, Step, Work

INJECTED_MS = 180.0
"""How long an injected delay is, if a scenario does not say otherwise."""

ALLOWANCE_MS = 80.0
"""
How much longer than injected a request may take before its truth counts as unknown.

The rest is real work of proxies and applications, and what a busy machine adds to it. A request
above it is sent again: nobody knows at which hop the machine held it up.
"""

Carrier = Literal[
    "traceparent",  # W3C mode: a span id of the gateway's own, written into the log
    "traceparent-passed",  # the client's header goes on as it is; the log has the inbound copy
    "correlation-id",  # the correlation id is made a trace id; the log has no headers
    "x-request-id",  # the correlation id goes on as x-request-id; the log has no headers
    "client-request-id",  # the client's x-request-id goes on, and into the log
    "zero-parent",  # the recipe with a parent id of zeros, next to x-request-id
    "unsampled",  # a traceparent with flags 00
    "b3",  # and the correlation id as x-request-id
    "b3-64",
    "nothing",
]


@dataclass(frozen=True, slots=True)
class Policy:
    """
    What one gateway does to the requests of a scenario. 0, "" and False turn a thing off.

    `refuses` answers that status without a call; `breaks_with` replaces a good answer afterwards.
    `network_ms` delays what it sends on the way to the mesh. `record` is when its log row arrives;
    `clock_ms` is how far its clock is ahead, `operation` what it logs, "" the scenario's name.
    `leaves_out` names columns that its row does not have. `falls_back`: an on-error policy answers
    200 instead of an error.
    """

    delay_ms: float = 0.0
    after_ms: float = 0.0
    timeout_ms: float = 30_000.0
    tries: int = 1
    refuses: int = 0
    breaks_with: int = 0
    network_ms: float = 0.0
    is_cached: bool = False
    is_backend_down: bool = False
    is_inbound_logged: bool = False
    carries: Carrier = "traceparent"
    record: Literal["at-once", "twice", "late", "never"] = "at-once"
    clock_ms: float = 0.0
    operation: str = ""
    leaves_out: tuple[str, ...] = ()
    falls_back: bool = False


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What one service does for a scenario; `routes` are its sidecar's for this scenario alone."""

    steps: tuple[Step, ...] = (Work(2),)
    status: int = 200
    fail_first: int = 0
    routes: tuple[Route, ...] = ()
    grpc_status: int = 0


@dataclass(frozen=True, slots=True)
class Truth:
    """
    What is true of each request of a scenario, whatever Hopline says.

    `hop` is `<role> <service>`, "" when none is to be blamed: of a failure the one that failed
    first, of a slow request the one whose own time it was. A call belongs to the hop that it calls,
    so the one who gave up on it may be another `component`. `phase` is where `injected_ms` have to
    be found. `findings` have to be there, `may_find` are as true and need not. `reason` has to
    be part of the verdict's, `acts` are what layers did (None: anything). `tier` None: there
    is nothing to join. `may_join`: no id joins it, so an answer without spans is no wrong one, and
    one with spans is judged by tier 4. `is_answered`: the gateway answered by itself.
    `is_provisional`: a source that never comes is still waited for, and the verdict says so; the
    status that the caller got may be unknown then.
    """

    hop: str = ""
    layer: str = "none"
    class_: str = ""
    component: str = ""
    outcome: str = ""
    phase: str = ""
    injected_ms: float = 0.0
    findings: frozenset[str] = frozenset()
    may_find: frozenset[str] = frozenset()
    reason: str = ""
    acts: frozenset[str] | None = None
    tier: int | None = 0
    may_join: bool = False
    records: int = 1
    has_spans: bool = True
    is_answered: bool = False
    is_provisional: bool = False
    expected: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Scenario:
    """
    One kind of request.

    `edge` holds options of the mesh ingress's route, `services` what each service does: the first
    is called by the ingress. `status` is what the caller gets, 0 no answer within `patience_s`.
    `takes_ms` is how long it should take, None: as long as what is injected. With `is_alone`
    nothing else runs meanwhile. `weight` multiplies the requests. `twin`: the same caller sends
    another request with the same ids before, after or beside it. `outer` is a second gateway in
    front.
    """

    name: str
    shows: str
    truth: Truth
    status: int = 200
    policy: Policy = Policy()
    outer: Policy | None = None
    edge: Mapping[str, object] = field(default_factory=dict)
    services: Mapping[str, Behaviour] = field(default_factory=dict)
    mesh: str = "shop"
    patience_s: float = 10.0
    takes_ms: float | None = None
    is_alone: bool = False
    is_traced: bool = True
    twin: Literal["", "before", "after", "beside"] = ""
    weight: int = 1

    @property
    def limit_ms(self) -> float:
        """How long a request may take at most for its truth to be known."""
        takes_ms = self.truth.injected_ms if self.takes_ms is None else self.takes_ms
        return takes_ms + ALLOWANCE_MS
