"""
Records and traces as people have them, sent through the doors, and the answers a user would give.

One case a kind: the rules behind each have unit tests of their own.
"""

import secrets
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.acceptance.telling import MS, Sender, bounds
from tests.service import Service


@pytest.fixture
def sender(service: Service) -> Sender:
    """A trace and ids that no other test has."""
    return Sender(service)


def test_path_phases_hops_and_sentences_agree(sender: Sender) -> None:
    """Parallel calls, a stream that outlives the request: only who held it up is told to have."""
    shop = sender.span("shop", 0, 130)
    for service, ms in (("prices", 105), ("stock", 60)):
        call = sender.span("shop", 10, ms, shop.span_id.hex(), "client")
        sender.span(service, 12, ms - 4, call.span_id.hex())
    sender.span(
        "shop", 5, 30_000, shop.span_id.hex(), "client", attributes={"server.address": "bus"}
    )
    sender.send()
    timeline = sender.timeline(spans=6)
    on_path = {hop["service"] for hop in timeline["hops"] if hop["critical_ms"]}
    assert on_path == {"shop", "prices"}
    assert sum(hop["critical_ms"] for hop in timeline["hops"]) == 130.0
    told = sender.told()
    held = [text for text in told if text.startswith("On the critical path")]
    assert [text.split()[4] for text in held] == ["prices", "shop"]
    assert any(text.startswith("Nobody waited for bus") for text in told)


def test_what_a_record_did_not_measure_is_nobodys(sender: Sender) -> None:
    """An nginx line without upstream columns: it may be the backend's, the client's or its own."""
    id_ = secrets.token_hex(16)
    end = f"{sender.start_ms / 1000:.3f}"
    row = {"msec": end, "request_time": "0.731", "status": 200, "request_id": id_, "path": "/a"}
    sender.push("ingress-nginx", row)
    timeline = sender.timeline(id_)
    assert bounds(timeline, "unexplained") == (731.0, 0.0, 731.0)
    assert bounds(timeline, "gateway") == (0.0, 0.0, 731.0)
    assert not any(
        "in the gateway itself" in text for text in sender.told(id_)[:4] if "Of " in text
    )


def test_a_slow_download_is_shared_by_gateway_and_client(sender: Sender) -> None:
    """A self-hosted gateway logs no client time: 30 MB took 12 s, and nobody knows whose."""
    id_ = str(uuid.uuid4())
    sender.push(
        "azure-apim",
        {
            "category": "GatewayLogs",
            "timeGenerated": sender.moment(),
            "correlationId": id_,
            "method": "GET",
            "url": "https://gw.example/report",
            "responseCode": 200,
            "backendResponseCode": 200,
            "totalTime": 12_000,
            "backendTime": 350,
            "responseSize": 30_000_000,
            "apiId": "reports",
        },
    )
    timeline = sender.timeline(id_)
    assert bounds(timeline, "gateway") == (0.0, 0.0, 11_650.0)
    assert bounds(timeline, "client") == (0.0, 0.0, 11_650.0)


def test_kongs_waiting_for_a_dead_backend_is_the_backends(sender: Sender) -> None:
    """Two tries came to nothing; Kong counts their time as its own, and it is not."""
    id_ = secrets.token_hex(16)
    tries = [
        {"ip": "10.9.0.4", "port": 80, "balancer_start": sender.start_ms + at} for at in (5, 1_505)
    ]
    sender.push(
        "kong",
        {
            "request": {"id": id_, "method": "GET", "uri": "/p", "url": "https://h.example/p"},
            "response": {"status": 504, "size": 40},
            "latencies": {"request": 3_008, "kong": 3_008, "proxy": -1},
            "started_at": sender.start_ms,
            "tries": tries,
            "upstream_status": "504, 504",
            "source": "kong",
            "service": {"name": "pears", "host": "pears.example"},
        },
    )
    timeline = sender.timeline(id_)
    assert bounds(timeline, "gateway")[0] == 5.0
    assert bounds(timeline, "unexplained")[0] == 3_003.0


def test_an_unknown_duration_is_null_everywhere(sender: Sender) -> None:
    """A format without latency: null in timeline and list, and the API has no percentiles."""
    api, id_ = f"nolatency-{secrets.token_hex(3)}", str(uuid.uuid4())
    row = {"requestId": id_, "requestTimeEpoch": sender.start_ms, "status": "200", "apiId": api}
    sender.push("aws-api-gateway", {**row, "httpMethod": "GET", "routeKey": "GET /pets"})
    assert sender.timeline(id_)["duration_ms"] is None
    assert sender.row(api=api)["duration_ms"] is None
    found = sender.api(api)
    assert (found["p50_ms"], found["p95_ms"], found["p99_ms"]) == (None, None, None)


def test_an_epoch_is_no_duration(sender: Sender) -> None:
    """It is flagged, and left out of what is measured."""
    line = (
        f'198.51.100.9 - - [{datetime.now(UTC):%d/%b/%Y:%H:%M:%S +0000}] "GET /slow HTTP/1.1" 200'
    )
    trace_id = secrets.token_hex(16)
    row = {"message": f"{line} 12 1777777777777", "trace.id": trace_id, "span.id": "5" * 16}
    logger = {"log.logger": "reactor.netty.http.server.AccessLog"}
    sender.push("spring-cloud-gateway", row | logger)
    timeline = sender.timeline(trace_id)
    assert timeline["duration_ms"] is None
    assert "ABSURD_DURATION" in timeline["gateway_records"][0]["quality"]


def test_linked_requests_and_exceptions_are_shown(sender: Sender) -> None:
    """A batch that links its producers, and what it threw on the way."""
    other = secrets.token_bytes(16)
    batch = sender.span("fulfil", 0, 300, "", "consumer", error="")
    batch.links.add(trace_id=other, span_id=secrets.token_bytes(8))
    event = batch.events.add(name="exception", time_unix_nano=(sender.start_ms + 90) * MS)
    event.attributes.add(key="exception.type").value.string_value = "StockGone"
    event.attributes.add(key="exception.message").value.string_value = "item 7"
    sender.send()
    timeline = sender.timeline()
    assert [link["trace_id"] for link in timeline["links_to"]] == [other.hex()]
    assert timeline["spans"][0]["events"][0]["attributes"]["exception.type"] == "StockGone"
    told = " ".join(sender.told())
    assert "fulfil reported an exception at 90.0 ms: StockGone: item 7." in told
    assert other.hex() in told


def test_a_balancers_span_hides_no_failure(sender: Sender) -> None:
    """Kong's own spans: the entry failed, the balancer says nothing, basket failed behind it."""
    told = {"kong.request.id": secrets.token_hex(16), "http.status_code": 502}
    entry = sender.span("kong", 0, 90, attributes=told, error="")
    balancer = sender.span("kong", 10, 75, entry.span_id.hex(), "client")
    sender.span(
        "basket", 15, 60, balancer.span_id.hex(), attributes={"http.status_code": 502}, error=""
    )
    sender.send()
    verdict = sender.timeline(spans=3)["verdict"]
    assert (verdict["layer"], verdict["component"]) == ("app", "basket")


def test_a_client_that_left_abandoned_its_request(sender: Sender) -> None:
    """Envoy's code 0 with DC, while the application answered 200 later."""
    id_, parent = str(uuid.uuid4()), secrets.token_hex(8)
    sender.span("pay", 3, 7_000, parent, attributes={"http.status_code": 200})
    sender.send()
    sender.push(
        "envoy",
        {
            "start_time": sender.moment(),
            "method": "POST",
            "path": "/pay",
            "response_code": 0,
            "response_flags": "DC",
            "response_code_details": "downstream_remote_disconnect",
            "duration": 3_200,
            "upstream_host": "10.1.2.3:8080",
            "request_id": id_,
            "traceparent": f"00-{sender.trace_id}-{parent}-01",
        },
    )
    timeline = sender.timeline(id_, spans=2)
    assert (timeline["verdict"]["outcome"], timeline["status"]) == ("abandoned", None)
    assert timeline["error"] is False
    assert "Nothing failed." not in sender.told(id_)


def test_a_grpc_failure_inside_a_200_is_an_error(sender: Sender) -> None:
    """Envoy's field names it; timeline, list and count agree."""
    id_, cluster = str(uuid.uuid4()), f"calls-{secrets.token_hex(3)}"
    sender.push(
        "envoy",
        {
            "start_time": sender.moment(),
            "method": "POST",
            "path": "/shop.Calls/Get",
            "response_code": 200,
            "response_flags": "-",
            "duration": 12,
            "request_id": id_,
            "upstream_cluster": cluster,
            "upstream_host": "10.1.2.3:8080",
            "grpc_status": "Internal",
        },
    )
    timeline = sender.timeline(id_)
    assert (timeline["error"], timeline["verdict"]["outcome"]) == (True, "failed")
    assert timeline["verdict"]["reason"].startswith("gRPC status 13 (INTERNAL)")
    assert sender.row(api=cluster)["error"] is True
    assert sender.api(cluster)["errors"] == 1


def test_a_grpc_failure_that_only_spans_know_is_an_error(sender: Sender) -> None:
    """The span's status is unset, its gRPC status is not: timeline and list call it an error."""
    told = {"rpc.system": "grpc", "rpc.grpc.status_code": 14, "http.status_code": 200}
    sender.span(f"calls-{secrets.token_hex(3)}", 0, 30, attributes=told)
    sender.send()
    timeline = sender.timeline(spans=1)
    assert (timeline["error"], timeline["verdict"]["class"]) == (True, "unavailable")
    row = sender.row(service=timeline["hops"][0]["service"], error="true")
    assert (row["trace_id"], row["error"]) == (sender.trace_id, True)


def test_errors_that_a_policy_dealt_with_are_acts(sender: Sender) -> None:
    """On-error answered 200 after a timeout: nobody failed, and it is told what was done."""
    id_, api = str(uuid.uuid4()), f"calm-{secrets.token_hex(3)}"
    sender.push(
        "azure-apim",
        {
            "TimeGenerated": sender.moment(),
            "Category": "GatewayLogs",
            "CorrelationId": id_,
            "IsRequestSuccess": True,
            "TotalTime": 900,
            "BackendTime": 880,
            "ClientTime": 1,
            "ResponseCode": 200,
            "ApiId": api,
            "LastErrorReason": "Timeout",
            "LastErrorSource": "forward-request",
            "LastErrorSection": "backend",
        },
    )
    timeline = sender.timeline(id_)
    assert (timeline["error"], timeline["verdict"]["outcome"]) == (False, "masked")
    assert [act["feature"] for act in timeline["acts"]] == ["timeout"]
    assert sender.api(api)["errors"] == 0


def test_a_firewalls_rule_is_the_reason(sender: Sender) -> None:
    """Application Gateway answers 403; which rule blocked stands in another of its logs."""
    id_ = secrets.token_hex(16)
    access = {"transactionId": id_, "httpStatus": 403, "timeTaken": 0.002, "serverRouted": "-"}
    rule = {"transactionId": id_, "ruleId": "941320", "action": "Blocked", "message": "XSS: tag"}
    rows = [
        {"category": "ApplicationGatewayAccessLog", "properties": access},
        {"category": "ApplicationGatewayFirewallLog", "properties": rule},
    ]
    sender.push("azure-application-gateway", *({"time": sender.moment(), **row} for row in rows))
    timeline = sender.timeline(id_)
    verdict = timeline["verdict"]
    assert (verdict["layer"], verdict["class"]) == ("gateway", "authorization")
    assert verdict["reason"].startswith("WAF rule 941320: XSS: tag")
    assert timeline["error"] is False


def test_errors_are_counted_alike(sender: Sender) -> None:
    """Answers of 404 are none, of 503 are some, whatever a product calls success."""
    counted = []
    for adapter in ("azure-apim", "ingress-nginx"):
        name = f"same-{secrets.token_hex(3)}"
        rows: list[dict[str, Any]] = []
        for status in (200, 404, 404, 503):
            if adapter == "azure-apim":
                row: dict[str, Any] = {"TimeGenerated": sender.moment(), "ResponseCode": status}
                row |= {"CorrelationId": str(uuid.uuid4()), "IsRequestSuccess": status < 400}
                rows.append({**row, "TotalTime": 9, "ApiId": name})
            else:
                row = {
                    "msec": f"{sender.start_ms / 1000:.3f}",
                    "status": status,
                    "ingress_name": name,
                }
                rows.append({**row, "request_time": "0.009", "request_id": secrets.token_hex(16)})
        sender.push(adapter, *rows)
        counted.append(sender.api(name)["errors"])
    assert counted == [1, 1]


def test_a_consumer_that_failed_afterwards_is_told(sender: Sender) -> None:
    """The request was answered 202, and the message it sent came to nothing."""
    shop = sender.span("shop", 0, 40, attributes={"http.status_code": 202})
    publish = sender.span("shop", 10, 5, shop.span_id.hex(), "producer")
    sender.span("mailer", 60, 200, publish.span_id.hex(), "consumer", error="no such address")
    sender.send()
    sender.timeline(spans=3)
    told = sender.told()
    assert any("mailer failed afterwards" in text and "no such address" in text for text in told)


def test_things_asked_in_turn_are_no_tries(sender: Sender) -> None:
    """Item 1 is refused, item 2 is asked for next: that is no retry of item 1."""
    shop = sender.span("shop", 0, 100, attributes={"http.status_code": 200})
    for number, status in ((1, 503), (2, 200)):
        told = {"http.request.method": "GET", "url.full": f"http://stock/items/{number}"}
        told["http.status_code"] = str(status)
        error = "" if status == 503 else None
        sender.span(
            "shop", 10 + 40 * number, 30, shop.span_id.hex(), "client", attributes=told, error=error
        )
    sender.send()
    timeline = sender.timeline(spans=3)
    assert [hop["attempts"] for hop in timeline["hops"]] == [1, 1, 1]
    assert not [act for act in timeline["acts"] if act["feature"] == "retry"]


def test_the_headline_names_who_held_everybody_up(sender: Sender) -> None:
    """The gateway gave up on the front, which waited for the bank all the time."""
    id_, parent = str(uuid.uuid4()), secrets.token_hex(8)
    front = sender.span("front", 4, 800, parent, attributes={"http.status_code": 200})
    bank = {"server.address": "bank.example", "http.status_code": 200}
    sender.span("front", 8, 790, front.span_id.hex(), "client", attributes=bank)
    sender.send()
    sender.push(
        "azure-apim",
        {
            "TimeGenerated": sender.moment(),
            "CorrelationId": id_,
            "IsRequestSuccess": False,
            "TotalTime": 300,
            "BackendTime": 298,
            "ClientTime": 0,
            "ResponseCode": 504,
            "LastErrorReason": "Timeout",
            "BackendRequestHeaders": {"traceparent": f"00-{sender.trace_id}-{parent}-01"},
        },
    )
    verdict = sender.timeline(id_, spans=3)["verdict"]
    assert "of it for bank.example" in verdict["reason"]


def apim_row(sender: Sender, id_: str, after_ms: int, status: int, **more: Any) -> dict[str, Any]:
    """Return a row of API Management for a request of 60 ms."""
    return {
        "TimeGenerated": sender.moment(after_ms),
        "CorrelationId": id_,
        "IsRequestSuccess": status < 400,
        "TotalTime": 60,
        "BackendTime": 56,
        "ClientTime": 0,
        "ResponseCode": status,
        "BackendResponseCode": status,
        **more,
    }


def test_a_header_that_was_sent_twice_makes_two_requests(sender: Sender) -> None:
    """A client tries again with its first header: each record keeps its span and its verdict."""
    caller = secrets.token_hex(8)
    sent = {"traceparent": f"00-{sender.trace_id}-{caller}-01"}
    headers = {"RequestHeaders": sent, "BackendRequestHeaders": sent}
    ids = [str(uuid.uuid4()) for _ in range(2)]
    for at, status in ((0, 503), (300, 200)):
        told = {"http.response.status_code": status}
        error = "no stock" if status == 503 else None
        sender.span("orders", at + 3, 50, caller, attributes=told, error=error)
    sender.send()
    rows = [apim_row(sender, ids[n], 300 * n, (503, 200)[n], **headers) for n in range(2)]
    sender.push("azure-apim", *rows)
    failed, good = (sender.timeline(id_, spans=2) for id_ in ids)
    assert [len(timeline["spans"]) for timeline in (failed, good)] == [2, 2]
    assert (failed["status"], failed["verdict"]["component"]) == (503, "orders")
    assert (good["status"], good["verdict"]["layer"]) == (200, "none")


def test_what_the_gateway_answered_is_no_gap_of_the_mesh(sender: Sender) -> None:
    """A refused request is neither joined nor unjoined, and is told as answered at the gateway."""
    id_, api = str(uuid.uuid4()), f"closed-{secrets.token_hex(3)}"
    refused = {"BackendTime": 0, "BackendResponseCode": None, "ApiId": api}
    reason = {"LastErrorReason": "TokenExpired", "LastErrorSection": "inbound"}
    sender.push("azure-apim", apim_row(sender, id_, 0, 401, **refused, **reason))
    assert sender.timeline(id_)["answered_at_gateway"] is True
    assert sender.row(api=api)["joined"] is None
    assert any("answered at the gateway" in text for text in sender.told(id_))


def test_siblings_of_a_lost_parent_call_nobody(sender: Sender) -> None:
    """Two services name one span that never came, inside a request whose root is known."""
    web = sender.span("web", 0, 200)
    lost = secrets.token_hex(8)
    sender.span("catalog", 10, 120, lost)
    sender.span("reviews", 15, 90, lost, error="no pages")
    sender.send()
    hops = sender.timeline(spans=3)["hops"]
    assert {hop["service"]: hop["parent"] for hop in hops} == {
        "web": -1,
        "catalog": 0,
        "reviews": 0,
    }
    assert web.span_id


def test_who_began_is_a_hop_and_so_is_a_service_whose_span_was_lost(sender: Sender) -> None:
    """A nightly job calls the ledger, whose server span is lost, and which calls the archive."""
    call = sender.span("nightly", 0, 100, kind="client", attributes={"server.address": "ledger"})
    inner = sender.span("ledger", 10, 80, call.span_id.hex(), "client")
    sender.span("archive", 12, 70, inner.span_id.hex())
    sender.send()
    hops = sender.timeline(spans=3)["hops"]
    drawn = [(hop["service"], hop["parent"], hop["inferred"]) for hop in hops]
    assert drawn == [("nightly", -1, False), ("ledger", 0, True), ("archive", 1, False)]


def test_kongs_access_log_in_otlp_is_joined_and_counts_once(sender: Sender) -> None:
    """Logs of its OpenTelemetry plugin, beside its log plugin's entry, are found by Kong's id."""
    id_, api = secrets.token_hex(16), f"api-{secrets.token_hex(4)}"
    called = secrets.token_hex(8)
    sender.span("fares", 15, 160, called)
    sender.send()
    request = {"id": id_, "method": "GET", "url": "https://api.rail.example/fares", "headers": {}}
    sender.push(
        "kong",
        {
            "started_at": sender.start_ms,
            "latencies": {"request": 187, "kong": 12, "proxy": 170, "receive": 3},
            "request": request,
            "response": {"status": 200, "headers": {}},
            "service": {"name": api},
        },
    )
    facts: dict[str, str | float] = {
        "kong.request.id": id_,
        "kong.request.started_at": float(sender.start_ms),
        "kong.latency.total": 187.0,
        "kong.latency.internal": 12.0,
        "kong.latency.upstream": 170.0,
        "kong.latency.receive": 3.0,
        "kong.service.name": api,
        "http.request.method": "GET",
        "http.request.header.traceparent": f"00-{sender.trace_id}-{called}-01",
        "http.response.status_code": 200.0,
        "url.full": "https://api.rail.example/fares",
    }
    sender.log(facts)
    timeline = sender.until(f"/api/v1/requests/{id_}", lambda found: len(found["hops"]) == 2)
    assert timeline["trace_id"] == sender.trace_id
    assert (timeline["duration_ms"], timeline["status"]) == (187.0, 200)
    assert [hop["service"] for hop in timeline["hops"]] == ["kong", "fares"]
    assert sender.api(api)["requests"] == 1
    assert sender.row(api=api.upper())["id"] == id_
