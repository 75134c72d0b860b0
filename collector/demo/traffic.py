"""
The demo's callers: which requests they send, and what should be seen of each afterwards.

Some callers send a `traceparent` of their own and some do not; one forgets its subscription key.
"""

import http.client
import secrets
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from urllib.parse import urlsplit

from collector.demo.shop import SUBSCRIPTION_KEY

_PATIENCE_S = 30
_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Kind:
    """
    One kind of request and the picture it has to give.

    `picture` names the check in `checks.PICTURES`. `reaches_mesh` is False when the gateway
    answers by itself.
    """

    name: str
    method: str
    path: str
    status: int
    picture: str
    reaches_mesh: bool = True
    is_traced: bool = True
    has_key: bool = True


BROWSE = Kind("two parallel calls", "GET", "/shop/items?page=1", 200, "parallel")
BROWSE_UNTRACED = Kind(
    "a caller without traceparent", "GET", "/shop/items?page=2", 200, "parallel", is_traced=False
)
ORDER = Kind("a retry that succeeds", "POST", "/shop/orders", 200, "order")
ORDER_WITHOUT_RETRY = Kind("calls one after another", "POST", "/shop/orders", 200, "joined")
REPORT = Kind("a slow query two hops in", "GET", "/shop/reports/stock", 200, "slow-dependency")
REFUND = Kind("a backend timeout", "POST", "/shop/refunds", 504, "timeout")
NO_KEY = Kind(
    "a missing subscription key",
    "GET",
    "/shop/items",
    401,
    "refused",
    reaches_mesh=False,
    has_key=False,
)
SEARCH = Kind("the last call within its rate", "GET", "/shop/search?q=lamp", 200, "joined")
SEARCH_AGAIN = Kind(
    "a call above its rate", "GET", "/shop/search?q=lamp", 429, "refused", reaches_mesh=False
)
OFFERS = Kind("an answer that gets cached", "GET", "/shop/offers", 200, "joined")
OFFERS_AGAIN = Kind("a cache hit", "GET", "/shop/offers", 200, "cache-hit", reaches_mesh=False)

# These go first, one by one: they fill the cache and use up the rate.
FIRST = (OFFERS, SEARCH)
REST = (BROWSE, BROWSE_UNTRACED, ORDER, REPORT, REFUND, NO_KEY, SEARCH_AGAIN, OFFERS_AGAIN)


@dataclass(frozen=True, slots=True)
class Sent:
    """One request as its caller knows it. `trace_id` is "" when the caller sent none."""

    kind: Kind
    correlation_id: str
    trace_id: str
    status: int
    duration_ms: float


class TrafficError(RuntimeError):
    """The gateway did not answer a request at all."""


def send(gateway_url: str, kind: Kind) -> Sent:
    """
    Send one request and read the whole answer.

    Raises:
        TrafficError: there was none.
    """
    trace_id = secrets.token_hex(16) if kind.is_traced else ""
    headers = {"User-Agent": "shop-app/2.1"}
    if trace_id:
        headers["traceparent"] = f"00-{trace_id}-{secrets.token_hex(8)}-01"
    if kind.has_key:
        headers["Ocp-Apim-Subscription-Key"] = SUBSCRIPTION_KEY
    connection = http.client.HTTPConnection(urlsplit(gateway_url).netloc, timeout=_PATIENCE_S)
    started = time.perf_counter()
    try:
        connection.request(kind.method, kind.path, headers=headers)
        response = connection.getresponse()
        response.read()
    except OSError as exc:
        raise TrafficError(f"{kind.method} {kind.path}: {exc}") from exc
    finally:
        connection.close()
    duration_ms = (time.perf_counter() - started) * 1000
    correlation_id = response.headers.get("apim-request-id", "")
    return Sent(kind, correlation_id, trace_id, response.status, duration_ms)


def send_burst(gateway_url: str, rounds: int, *, has_proxies: bool = True) -> list[Sent]:
    """
    Send every kind, most of them *rounds* times, a few at once; only proxies retry.

    Raises:
        TrafficError: a request was not answered.
    """
    sent = [send(gateway_url, kind) for kind in FIRST]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        kinds = [_expected(kind, has_proxies) for kind in REST * rounds]
        sent.extend(pool.map(lambda kind: send(gateway_url, kind), kinds))
    return sent


def trickle(*, has_proxies: bool = True) -> Iterator[Kind]:
    """Yield kinds for ever, mostly those that reach the mesh."""
    kinds = (BROWSE, ORDER, BROWSE_UNTRACED, REPORT, OFFERS_AGAIN, BROWSE, REFUND, NO_KEY)
    while True:
        yield from (_expected(kind, has_proxies) for kind in kinds)


def _expected(kind: Kind, has_proxies: bool) -> Kind:
    return ORDER_WITHOUT_RETRY if kind is ORDER and not has_proxies else kind


def unexpected_answers(sent: Sequence[Sent]) -> list[str]:
    """Describe the requests that did not get the answer their kind promises."""
    return [
        f"{one.kind.name}: {one.kind.method} {one.kind.path} answered {one.status}, "
        f"not {one.kind.status}"
        for one in sent
        if one.status != one.kind.status
    ]
