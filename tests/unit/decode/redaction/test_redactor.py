"""Redaction: every kind of secret is masked, everything else is left alone."""

import json
import re
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from collector.decode.records.codec import decode_records, encode_records
from collector.decode.redaction.findings import MASK
from collector.decode.redaction.redactor import Redactor
from collector.decode.redaction.secrets import Secrets
from collector.model import GatewayRecord, Id, Stream
from tests.bench.generate import unique_requests
from tests.fuzz.redaction import FOUND, TestOneInput
from tests.ingest import make_log, make_request, make_span, text

SECRETS = Secrets()
CANARY = "c4n4ryV4lu3w1thEn0ughLength"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI0MiJ9c0.dBjftJeZ4CVPmB92K27u"
CARD = "4556737586899855"
SECRET_KEYS = [
    "http.request.header.authorization",
    "http.request.header.proxy-authorization",
    "http.request.header.cookie",
    "http.response.header.set-cookie",
    "http.response.header.set_cookie",
    "http.request.header.x-api-key",
    "api-key",
    "apikey",
    "http.request.header.ocp-apim-subscription-key",
    "Ocp-Apim-Subscription-Key",
    "subscription_key",
    "x-functions-key",
    "x-ms-client-principal",
    "x-ms-client-principal-id",
    "x-ms-client-principal-name",
    "x-arr-clientcert",
    "x-forwarded-client-cert",
    "http.request.header.x_forwarded_client_cert",
    "x-amz-security-token",
    "x-goog-api-key",
    "x-goog-iap-jwt-assertion",
    "x-vault-token",
    "x-auth-token",
    "x-csrf-token",
    "x-xsrf-token",
    "x-shared-secret",
    "www-authenticate",
    "proxy-authenticate",
    "authentication-info",
    "db.password",
    "user.passwd",
    "PWD",
    "client_secret",
    "session.id",
    "aws.credentials",
    "request.signature",
    "jwt.raw",
    "AccountKey",
]
SECRET_TEXTS = [
    f"https://h.example/a?subscription-key={CANARY}&x=1",
    f"/orders?sig={CANARY}",
    f"/api/fn?code={CANARY}&y=2",
    f"/cb?x=1&access_token={CANARY}#top",
    f"grant_type=password&client_secret={CANARY}",
    f"https://user:{CANARY}@h.example/path",
    f"amqp://{CANARY}@h.example",
    f"Authorization: Bearer {CANARY}",
    f"calling with bearer {CANARY} failed",
    f"Basic {CANARY}==",
    f"X-Api-Key: {CANARY}",
    f'{{"headers": {{"Authorization": "Basic {CANARY}"}}}}',
    f'{{"headers": {{"X-Api-Key": ["{CANARY}"]}}}}',
    f'{{"headers": [{{"name": "Cookie", "value": "a={CANARY}"}}]}}',
    f'message with json {{"password":"{CANARY}"}} inside',
    f'message with json {{\\"password\\":\\"{CANARY}\\"}} inside',
    f'{{"inner": "{{\\"client_secret\\": \\"{CANARY}\\"}}"}}',
    f'{{"password": "a\\"{CANARY}"}}',
    f"Endpoint=sb://bus.example/;SharedAccessKeyName=root;SharedAccessKey={CANARY}=",
    f"AccountName=store;AccountKey={CANARY}==;Suffix=x",
    f"Server=db;User Id=sa;Password={CANARY};Encrypt=true",
    f"Cookie: a=1; sid={CANARY}",
    f"-----BEGIN RSA PRIVATE KEY-----\n{CANARY}\n-----END RSA PRIVATE KEY-----",
]
HARMLESS_TEXTS = [
    "https://h.example/orders/7?page=2&code_style=x",
    "rpc error: code = Unavailable desc = connection refused",
    "mailto:someone@h.example",
    "https://h.example/@scope/package",
    "order 1760000000000000000 shipped",
    "6bdd1b29-7645-4c56-863c-2a5d77c6e0a7",
    "4bf92f3577b34da6a3ce929d0e0e4736",
    "the tokens were counted",
    "Basic authentication",
    "GET /sessions/7 200 12ms",
    "4556737586899854",
]


@pytest.fixture(scope="module")
def redactor() -> Redactor:
    return Redactor()


def redact_span(redactor: Redactor, span: Span) -> tuple[Span, Counter[str]]:
    message, found = redactor.redact_message(Stream.TRACE, make_request(make_span(1), span))
    request = ExportTraceServiceRequest.FromString(message)
    spans = request.resource_spans[0].scope_spans[0].spans
    assert spans[0] == make_span(1)
    return spans[1], found


@pytest.mark.parametrize("key", SECRET_KEYS)
def test_secret_key_hides_its_value(redactor: Redactor, key: str) -> None:
    """The value under a secret key is masked whole; the key and the other attributes stay."""
    span = make_span(2, attributes=[text("a", "b"), text(key, CANARY), text("c", "d")])
    masked, found = redact_span(redactor, span)
    assert [each.value.string_value for each in masked.attributes] == ["b", MASK, "d"]
    assert masked.attributes[1].key == key
    assert found == {"key": 1}


@pytest.mark.parametrize("value", SECRET_TEXTS)
def test_secret_in_a_text_is_masked(redactor: Redactor, value: str) -> None:
    """A secret inside a value of any shape is masked, in spans as in logs and records."""
    masked, found = redact_span(redactor, make_span(2, attributes=[text("message", value)]))
    assert CANARY not in masked.attributes[0].value.string_value
    assert MASK in masked.attributes[0].value.string_value
    assert found.total() >= 1
    log = make_request(make_log(1, body=AnyValue(string_value=value)))
    assert CANARY.encode() not in redactor.redact_message(Stream.LOG, log)[0]
    record = GatewayRecord(gateway="g", record_id="1", start_ns=1, raw=value, error_message=value)
    assert (
        CANARY.encode() not in redactor.redact_message(Stream.RECORD, encode_records([record]))[0]
    )


@pytest.mark.parametrize("value", HARMLESS_TEXTS)
def test_harmless_text_is_left_alone(redactor: Redactor, value: str) -> None:
    """What only looks a little like a secret stays as it is."""
    span = make_span(2, attributes=[text("message", value)])
    masked, found = redact_span(redactor, span)
    assert masked == span
    assert not found


def test_query_keeps_names_and_other_parameters(redactor: Redactor) -> None:
    """In a URL only the secret parameter's value goes."""
    url = f"https://h.example/a/b?page=2&access_token={CANARY}&sort=up"
    masked, _ = redact_span(redactor, make_span(2, attributes=[text("url.full", url)]))
    expected = f"https://h.example/a/b?page=2&access_token={MASK}&sort=up"
    assert masked.attributes[0].value.string_value == expected


def test_user_information_goes_and_the_host_stays(redactor: Redactor) -> None:
    """Of `scheme://user:password@host` only the middle is masked."""
    url = f"postgres://app:{CANARY}@db.example:5432/shop"
    masked, _ = redact_span(redactor, make_span(2, attributes=[text("db.url", url)]))
    assert masked.attributes[0].value.string_value == f"postgres://{MASK}@db.example:5432/shop"


def test_query_attribute_that_begins_with_the_secret(redactor: Redactor) -> None:
    """`url.query` has no question mark; its first parameter is seen all the same."""
    span = make_span(2, attributes=[text("url.query", f"code={CANARY}&a=1")])
    assert redact_span(redactor, span)[0].attributes[0].value.string_value == f"code={MASK}&a=1"


@pytest.mark.parametrize(
    "value", [JWT, f"token was {JWT}", CARD, "4556 7375 8689 9855", "378282246310005"]
)
def test_token_and_card_shapes_are_masked(redactor: Redactor, value: str) -> None:
    """Web tokens and card numbers are recognised by their shape, under any key."""
    masked, _ = redact_span(redactor, make_span(2, attributes=[text("note", value)]))
    shown = masked.attributes[0].value.string_value
    assert MASK in shown
    assert value not in shown


def test_number_in_an_id_is_not_a_card(redactor: Redactor) -> None:
    """An id joins requests; 16 digits that happen to pass the card check stay under an id key."""
    span = make_span(2, attributes=[text("x-request-id", CARD)])
    assert redact_span(redactor, span)[0] == span


def test_secrets_hide_nowhere_in_a_span(redactor: Redactor) -> None:
    """Name, status, events, links, scope and resource are looked at as well."""
    url = f"https://h.example/?access_token={CANARY}"
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add(resource={"attributes": [text("db.password", CANARY)]})
    group.schema_url = url
    scope = group.scope_spans.add(scope={"name": url, "attributes": [text("api-key", CANARY)]})
    span = scope.spans.add()
    span.CopyFrom(make_span(1, name=url, status={"message": url}, trace_state=f"x={JWT}"))
    span.events.add(name=url, attributes=[text("cookie", CANARY)])
    span.links.add(attributes=[text("session.id", CANARY)])
    message, found = redactor.redact_message(Stream.TRACE, request.SerializeToString())
    assert CANARY.encode() not in message
    assert JWT.encode() not in message
    assert found["key"] >= 4
    kept = ExportTraceServiceRequest.FromString(message).resource_spans[0].scope_spans[0].spans[0]
    assert (kept.trace_id, kept.span_id) == (span.trace_id, span.span_id)


def test_values_that_are_not_text(redactor: Redactor) -> None:
    """Lists, nested pairs and bytes under a secret key are masked leaf by leaf; counts stay."""
    listed = AnyValue()
    listed.array_value.values.add(string_value=CANARY)
    pairs = AnyValue()
    pairs.kvlist_value.values.add(key="any", value={"string_value": CANARY})
    inner = AnyValue()
    inner.kvlist_value.values.add(key="password", value={"string_value": CANARY})
    span = make_span(
        2,
        attributes=[
            {"key": "http.request.header.authorization", "value": listed},
            {"key": "session", "value": pairs},
            {"key": "config", "value": inner},
            {"key": "secret.raw", "value": AnyValue(bytes_value=CANARY.encode())},
            {"key": "gen_ai.usage.input_tokens", "value": AnyValue(int_value=512)},
            text("llm.total_tokens", "512"),
        ],
    )
    masked, found = redact_span(redactor, span)
    assert CANARY.encode() not in masked.SerializeToString()
    assert found == {"key": 4}
    assert masked.attributes[4].value.int_value == 512
    assert masked.attributes[5].value.string_value == "512"


def test_structured_log_body(redactor: Redactor) -> None:
    """A log body of pairs, as access logs are sent, is masked by its keys."""
    body = AnyValue()
    body.kvlist_value.values.add(key="path", value={"string_value": "/a"})
    body.kvlist_value.values.add(key="authorization", value={"string_value": CANARY})
    message, found = redactor.redact_message(Stream.LOG, make_request(make_log(1, body=body)))
    record = ExportLogsServiceRequest.FromString(message).resource_logs[0].scope_logs[0]
    values = record.log_records[0].body.kvlist_value.values
    assert [each.value.string_value for each in values] == ["/a", MASK]
    assert found == {"key": 1}


def test_gateway_record(redactor: Redactor) -> None:
    """A record's attributes, target and raw original are masked; its ids are not touched."""
    raw = {"RequestHeaders": {"Authorization": f"Bearer {CANARY}", "Accept": "*/*"}, "Big": 2**70}
    record = GatewayRecord(
        gateway="kong",
        record_id=CARD,
        start_ns=5,
        ids=(Id("kong_request_id", CARD),),
        path=f"/a?sig={CANARY}",
        backend_path=f"/b?subscription-key={CANARY}",
        attributes={"request.header.x-api-key": CANARY, "plugin": "rate-limiting"},
        raw=json.dumps(raw),
    )
    message, found = redactor.redact_message(Stream.RECORD, encode_records([record]))
    (masked,) = decode_records(message)
    assert CANARY.encode() not in message
    assert (masked.record_id, masked.ids) == (record.record_id, record.ids)
    assert masked.path == f"/a?sig={MASK}"
    assert masked.attributes == {"request.header.x-api-key": MASK, "plugin": "rate-limiting"}
    assert json.loads(masked.raw) == {
        "RequestHeaders": {"Authorization": MASK, "Accept": "*/*"},
        "Big": 2**70,
    }
    assert found.total() == 4


def test_operator_can_add_keys() -> None:
    """Names from the settings are masked like the built-in ones, `-` and `_` alike."""
    redactor = Redactor(Secrets(["X-Tax-Id", "geheim.wort"]))
    span = make_span(
        2, attributes=[text("http.request.header.x_tax_id", "77"), text("geheim.wort", "pst")]
    )
    masked, _ = redact_span(redactor, span)
    assert [each.value.string_value for each in masked.attributes] == [MASK, MASK]


def test_masking_twice_changes_nothing(redactor: Redactor) -> None:
    """A masked message is masked: nothing more is found in it."""
    values = [text(f"message.{number}", value) for number, value in enumerate(SECRET_TEXTS)]
    values += [text(key, CANARY) for key in SECRET_KEYS]
    once, found = redactor.redact_message(
        Stream.TRACE, make_request(make_span(1, attributes=values))
    )
    twice, again = redactor.redact_message(Stream.TRACE, once)
    assert CANARY.encode() not in once
    assert found.total() >= len(values)
    assert twice == once
    assert not again


def test_ordinary_spans_never_take_the_slow_path() -> None:
    """The quick search finds nothing in spans as proxies and SDKs write them."""
    secrets = Secrets()
    ordinary = [
        text("upstream_cluster", "outbound|8080||orders.shop.svc.cluster.local"),
        text("guid:x-request-id", "0b0c9d7a-5d1e-9a41-9e3e-6e2a8a4f1c77"),
        text("http.url", "http://orders.shop:8080/orders/17?expand=lines"),
        text("user_agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36"),
        text("istio.canonical_service", "orders"),
        text("peer.address", "10.244.1.7"),
        text("response_flags", "-"),
        text("db.statement", "SELECT * FROM orders WHERE id = ?"),
        text("messaging.message.id", "ID:broker-1-44444-1760000000000-1:1:1:1:1"),
        text("exception.stacktrace", "at com.example.Orders.find(Orders.java:41)"),
    ]
    assert not secrets.in_otlp.search(make_request(make_span(1, attributes=ordinary)))
    assert not any(secrets.in_otlp.search(request) for request in unique_requests(20, 500, seed=3))


@pytest.mark.parametrize("shape", SECRETS.shapes, ids=range(len(SECRETS.shapes)))
@settings(max_examples=20)
@given(data=st.data())
def test_no_shape_without_a_sign(shape: str, data: st.DataObject) -> None:
    """The first search passes over no text that one of the others would find something in."""
    pattern = re.compile(shape, re.IGNORECASE | re.DOTALL | re.ASCII)
    letters = st.characters(max_codepoint=255)
    found = data.draw(st.from_regex(pattern, alphabet=letters)).encode("latin-1")
    assert SECRETS.signs.search(found) or not SECRETS.in_otlp.search(found)


def test_half_a_character_beside_a_secret_in_json() -> None:
    """An escape that UTF-8 cannot spell stays an escape; the span is neither refused nor cut."""
    note = '{"password":"Zq7xK2mV9t","said":"\\ud800x"}'
    message = make_request(make_span(2, attributes=[text("note", note)]))
    masked, found = Redactor().redact_message(Stream.TRACE, message)
    assert found == {"key": 1}
    assert b'{"password":"[REDACTED]","said":"\\ud800x"}' in masked


def test_what_a_fuzzer_found_stays_mended() -> None:
    """What once let a token through, or broke the masking, is given again."""
    found = [path.read_bytes() for path in FOUND.glob("*")]
    assert found and all(TestOneInput(data) for data in found)
