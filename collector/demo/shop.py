"""
The demo's shop: six services behind a mesh ingress, published as one API.

Behind each path of the API lies one thing that people look for in a timeline: parallel calls, a
retry that works, a slow query two hops in, a backend slower than the gateway waits for. One
service is still on Zipkin and B3; its caller sends W3C and B3 side by side.
"""

from dataclasses import replace

from collector.demo.apim import Api, Operation
from collector.demo.topology import (
    Call,
    Endpoint,
    Gateway,
    Query,
    Route,
    Service,
    Together,
    Topology,
    Tracer,
    Work,
)

SUBSCRIPTION_KEY = "demo-subscription-key"
SLOW_QUERY_MS = 900
GATEWAY_TIMEOUT_MS = 500

_STOREFRONT = Service(
    "storefront",
    endpoints=(
        Endpoint(
            "/items", (Work(2), Together((Call("catalog", "/items"), Call("inventory", "/stock"))))
        ),
        Endpoint("/orders", (Work(3), Call("orders", "/orders"))),
        Endpoint("/reports", (Work(3), Call("orders", "/reports"), Work(4, "render report"))),
        Endpoint("/refunds", (Work(2), Call("payments", "/refunds"))),
        Endpoint("/search", (Work(2), Call("catalog", "/search"))),
        Endpoint("/offers", (Work(2), Call("catalog", "/offers"))),
    ),
)

_CATALOG = Service(
    "catalog",
    revision="v2",
    endpoints=(
        Endpoint("/items", (Query("SELECT * FROM item", 18),)),
        Endpoint("/", (Query("SELECT * FROM item", 9), Work(3, "rank"))),
    ),
    export="http",
)

_ORDERS = Service(
    "orders",
    routes=(Route("payments", retries=2),),
    propagation="w3c+b3",
    endpoints=(
        Endpoint(
            "/orders",
            (
                Work(4, "validate"),
                Call("inventory", "/stock"),
                Call("payments", "/charges"),
                Call("loyalty", "/points"),
                Query("INSERT INTO orders", 7),
            ),
        ),
        Endpoint("/reports", (Work(5), Call("inventory", "/movements"), Work(6))),
    ),
)

_INVENTORY = Service(
    "inventory",
    endpoints=(
        Endpoint("/stock", (Query("SELECT quantity FROM stock", 6),)),
        Endpoint(
            "/movements",
            (Work(3), Query("SELECT * FROM stock_movement ORDER BY moved_at", SLOW_QUERY_MS)),
        ),
    ),
)

_PAYMENTS = Service(
    "payments",
    endpoints=(
        Endpoint("/charges", (Work(12, "charge card"),), fail_first=1),
        Endpoint("/refunds", (Work(GATEWAY_TIMEOUT_MS * 3, "wait for the bank"),)),
    ),
)

_LOYALTY = Service(
    "loyalty",
    endpoints=(Endpoint("/points", (Work(3), Query("UPDATE points", 4))),),
    tracer=Tracer("zipkin-json"),
    propagation="b3-multi",
)

SHOP = Topology(
    "shop",
    (_STOREFRONT, _CATALOG, _ORDERS, _INVENTORY, _PAYMENTS, _LOYALTY),
    Gateway((Route("storefront"),)),
    access_logs=("otlp",),
)


def without_proxies(topology: Topology) -> Topology:
    """Return the same services calling each other directly; what only a proxy retries works."""
    services = (
        replace(
            service,
            has_sidecar=False,
            routes=(),
            tracer=None,
            endpoints=tuple(replace(endpoint, fail_first=0) for endpoint in service.endpoints),
        )
        for service in topology.services
    )
    return replace(topology, gateway=None, access_logs=(), services=tuple(services))


def publish(backend_url: str) -> Api:
    """Return the shop as an API in front of *backend_url*, the mesh ingress."""
    return Api(
        name="shop-api",
        prefix="/shop",
        backend_url=backend_url,
        operations=(
            Operation("list-items", "GET", "/items"),
            Operation("place-order", "POST", "/orders"),
            Operation("get-report", "GET", "/reports"),
            Operation("refund", "POST", "/refunds", timeout_ms=GATEWAY_TIMEOUT_MS),
            Operation("search", "GET", "/search", calls=1, window_s=600),
            Operation("list-offers", "GET", "/offers", cache_s=3600),
        ),
        keys={SUBSCRIPTION_KEY: "mobile-app"},
    )
