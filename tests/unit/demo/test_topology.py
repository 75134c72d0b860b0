"""A mesh's description: what it derives from what is written."""

import json

import pytest

from collector.demo.topology import (
    Call,
    Endpoint,
    Query,
    Route,
    Service,
    Step,
    Together,
    Topology,
    Work,
    endpoint_from_json,
    endpoint_to_json,
    step_from_json,
)

STEPS: tuple[Step, ...] = (
    Work(3.5, "validate"),
    Together((Call("prices", "/p", timeout_ms=20), Query("SELECT 1", 2))),
    Call("stock", is_failure_tolerated=True),
)


def test_endpoint_survives_being_written_as_json() -> None:
    """An application reads exactly the endpoint that the mesh wrote into its plan."""
    endpoint = Endpoint("/orders", STEPS, status=201, fail_first=2)
    text = json.dumps(endpoint_to_json(endpoint))
    assert endpoint_from_json(json.loads(text)) == endpoint


def test_unknown_step_is_refused() -> None:
    """A kind of step that nobody knows is an error, not a step that does nothing."""
    with pytest.raises(ValueError, match="teleport"):
        step_from_json({"kind": "teleport"})


def test_calls_without_a_route_get_a_plain_one() -> None:
    """Services that are called, also in parallel, are routed to; a written route stays as it is."""
    service = Service(
        "shop", routes=(Route("stock", retries=2),), endpoints=(Endpoint("/", STEPS),)
    )
    assert service.all_routes == (Route("stock", retries=2), Route("prices"))


def test_names_follow_kubernetes() -> None:
    """Hosts and pods have the shape that meshes report, and are the same on each run."""
    service = Service("basket", namespace="store", revision="v7")
    assert service.host == "basket.store.svc.cluster.local"
    assert service.pod == Service("basket", namespace="store", revision="v7").pod
    assert service.pod.startswith("basket-v7-")


def test_missing_service_is_named() -> None:
    """Asking for a service that is not there says which one and where."""
    with pytest.raises(KeyError, match="topology empty has no service basket"):
        Topology("empty", ()).service("basket")
