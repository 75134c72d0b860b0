"""What each layer did, and what only looks as if a layer had done something."""

import pytest

from tests.unit.stitch.building import LONG_AFTER, record, stitch


@pytest.mark.parametrize(
    ("told", "detail"),
    [
        ({"gateway": "kong", "backend_id": "orders", "api": "orders"}, ""),
        ({"gateway": "azure-apim", "backend_id": "orders-blue"}, "backend orders-blue"),
        ({"gateway": "apigee", "backend_id": "canary", "api": "orders"}, "backend canary"),
        ({"gateway": "envoy", "backend_id": "httproute/shop/orders/rule/0"}, ""),
        (
            {"gateway": "envoy", "backend_id": "httproute/shop/orders/rule/0/backend/1"},
            "backend httproute/shop/orders/rule/0/backend/1",
        ),
        ({"gateway": "envoy", "backend_id": "outbound|80||orders.shop.svc.cluster.local"}, ""),
        (
            {"gateway": "envoy", "backend_id": "outbound|80|v2|orders.shop.svc.cluster.local"},
            "backend outbound|80|v2|orders.shop.svc.cluster.local",
        ),
    ],
)
def test_a_split_is_told_where_a_name_shows_a_choice(told: dict[str, str], detail: str) -> None:
    """The service of a route is where all its requests go: that is no split."""
    timeline = stitch([record(total=50, backend=40, **told)], [], now_ns=LONG_AFTER)
    splits = [act.detail for act in timeline.acts if act.feature == "traffic_split"]
    assert splits == ([detail] if detail else [])
