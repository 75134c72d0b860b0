"""Redaction against a corpus: what people would call a secret goes, everything else stays."""

import random
import re
import shlex
import string
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from collector.decode.records.codec import encode_records
from collector.decode.redaction.findings import MASK, Findings
from collector.decode.redaction.redactor import Redactor
from collector.decode.redaction.secrets import Secrets
from collector.model import GatewayRecord, Stream
from tests.ingest import make_log, make_request, make_span, text

_CORPUS = Path(__file__).parents[3] / "fixtures" / "secrets"
_ALPHABET = string.ascii_letters + string.digits
_CANARIES = 3_000
_ALPHABETS = {
    "alnum": _ALPHABET,
    "upper": string.ascii_uppercase + string.digits,
    "lower": string.ascii_lowercase + string.digits,
    "hex": string.hexdigits[:16],
    "hex-": string.hexdigits[:16] + "-",
}


def read_corpus(name: str) -> list[str]:
    lines = (_CORPUS / name).read_text().splitlines()
    return [line for line in lines if line and not line.startswith("# ")]


def read_tokens() -> Iterator[tuple[str, str, int]]:
    """Yield prefix, alphabet and length of what follows, as the vendors document their tokens."""
    for line in read_corpus("tokens.txt"):
        alphabet, length, prefix = line.split(" ", 2)
        yield prefix, _ALPHABETS[alphabet], int(length)


def fill(template: str, secret: str) -> str:
    """Write *secret* into a line of the corpus."""
    for written, sign in (
        ("\\\\", "\0"),
        ("\\n", "\n"),
        ("\\r", "\r"),
        ("\\t", "\t"),
        ("\0", "\\"),
    ):
        template = template.replace(written, sign)
    return template.replace("{s}", secret).replace("{{", "{").replace("}}", "}")


TEMPLATES = read_corpus("texts.txt")
SURROUNDINGS = read_corpus("surroundings.txt")
VENDOR_TOKENS = list(read_tokens())
COMMANDS = [
    each
    for each in (*TEMPLATES, *SURROUNDINGS)
    if " {s}" in each and re.search(" -[-a-zA-Z]", each) and "| sudo" not in each
]


@pytest.fixture(scope="module")
def redactor() -> Redactor:
    return Redactor()


def serialize(value: str) -> Iterator[tuple[Stream, bytes]]:
    """Yield *value* in every place of a message that the doors write texts to."""
    yield Stream.TRACE, make_request(make_span(1), make_span(2, attributes=[text("note", value)]))
    yield Stream.TRACE, make_request(make_span(2, name=value, status={"message": value}))
    yield Stream.LOG, make_request(make_log(1, body=AnyValue(string_value=value)))
    record = GatewayRecord(gateway="g", record_id="1", start_ns=1, raw=value, error_message=value)
    yield Stream.RECORD, encode_records([record])


@pytest.mark.parametrize("template", [*TEMPLATES, *SURROUNDINGS])
def test_secret_reaches_no_message(redactor: Redactor, template: str) -> None:
    """The secret of a text is in no serialized message, and masking it again changes nothing."""
    for secret in ("Zq7xK2mV9tLw4RbN", "zqxkmvtlwrbnzqxkmvtl7"):
        for stream, message in serialize(fill(template, secret)):
            masked, found = redactor.redact_message(stream, message)
            assert secret.encode() not in masked
            assert found.total() >= 1
            assert redactor.redact_message(stream, masked) == (masked, {})


@pytest.mark.parametrize("key", read_corpus("keys.txt"))
def test_value_under_the_name_is_masked(redactor: Redactor, key: str) -> None:
    """Short names count as parts of a key, in snake, dotted, dashed and camel case."""
    for value in (AnyValue(string_value="hunterZq7"), AnyValue(string_value="hunter")):
        span = make_span(2, attributes=[{"key": key, "value": value}])
        masked, found = redactor.redact_message(Stream.TRACE, make_request(span))
        assert b"hunter" not in masked
        assert found.total() == 1
    record = GatewayRecord(gateway="g", record_id="1", start_ns=1, attributes={key: "hunter"})
    assert b"hunter" not in redactor.redact_message(Stream.RECORD, encode_records([record]))[0]


@pytest.mark.parametrize(("prefix", "alphabet", "length"), VENDOR_TOKENS)
def test_vendor_token_is_known_by_its_shape(
    redactor: Redactor, prefix: str, alphabet: str, length: int
) -> None:
    """A token with a documented prefix is masked under any key and inside any sentence."""
    pick = random.Random(prefix)
    token = prefix + "".join(pick.choice(alphabet) for _ in range(length))
    for value in (token, f"called with {token}", f"/a/{token}/b", f'["{token}"]', f"a\\n{token}"):
        for stream, message in serialize(value):
            masked, _ = redactor.redact_message(stream, message)
            assert token.encode() not in masked
            assert MASK.encode() in masked


@pytest.mark.parametrize("value", read_corpus("harmless.txt"))
def test_harmless_text_stays(redactor: Redactor, value: str) -> None:
    """Ids, hashes, counts, prose and parametrised statements are left alone."""
    for stream, message in serialize(value):
        assert redactor.redact_message(stream, message) == (message, {})


@pytest.mark.parametrize(
    "key",
    [
        "http.request.header.x-request-id", "db.statement.tokens", "gen_ai.usage.input_tokens",
        "test.compass", "messaging.kafka.message.key", "user.passport", "shipping.method",
        "k8s.secret.name", "token_type", "session.count", "spinning", "author", "oauth2.client_id",
        "aws.request_id", "url.path", "key", "pinned", "authority", "shopping.cart",
    ],
)  # fmt: skip
def test_harmless_name_hides_nothing(redactor: Redactor, key: str) -> None:
    """Names that only sound like secrets keep their values."""
    message = make_request(make_span(2, attributes=[text(key, "plain value")]))
    assert redactor.redact_message(Stream.TRACE, message) == (message, {})


def test_thousands_of_canaries_and_none_is_found(redactor: Redactor) -> None:
    """Thousands of secrets of any length in texts of every form: a byte search finds none."""
    pick = random.Random(7)
    attributes, canaries = [], []
    for number in range(_CANARIES):
        length = pick.randint(8, 40)
        canary = "c7" + "".join(pick.choice(_ALPHABET) for _ in range(length))
        canaries.append(canary.encode())
        attributes.append(text(f"note.{number}", fill(pick.choice(TEMPLATES), canary)))
    spans = [make_span(n, attributes=attributes[n : n + 20]) for n in range(1, _CANARIES, 20)]
    masked, found = redactor.redact_message(Stream.TRACE, make_request(*spans))
    assert [each for each in canaries[1:] if each in masked] == []
    assert found.total() >= _CANARIES - 1


@pytest.mark.parametrize("name", ["password", "db.password", "pin", "otp", "card_number"])
def test_number_under_a_secret_name(redactor: Redactor, name: str) -> None:
    """A number is a secret under such a name, as an attribute and in JSON, and so is a text."""
    span = make_span(2, attributes=[{"key": name, "value": AnyValue(int_value=834719)}])
    masked, found = redactor.redact_message(Stream.TRACE, make_request(span))
    assert MASK.encode() in masked
    assert found == {"key": 1}
    counted = Findings()
    assert Secrets().mask_text(f'{{"{name}": 834719}}', counted) == f'{{"{name}":"{MASK}"}}'
    assert "834719" not in Secrets().mask_text(f'log: "{name}": 834719, "a": 1', counted)


def test_flag_and_header_inside_lists_of_values(redactor: Redactor) -> None:
    """`process.command_args` and nested header lists hide what follows a secret name."""
    command = AnyValue()
    for part in ("psql", "--password", "hunterZq7", "-h", "db"):
        command.array_value.values.add(string_value=part)
    pairs = AnyValue()
    for name, value in (("Authorization", "hunterZq7"), ("accept", "*/*")):
        pair = pairs.array_value.values.add().array_value
        pair.values.add(string_value=name)
        pair.values.add(string_value=value)
    named = AnyValue()
    named.kvlist_value.values.add(key="name", value={"string_value": "X-Api-Key"})
    named.kvlist_value.values.add(key="value", value={"string_value": "hunterZq7"})
    for key, listed in (("process.command_args", command), ("list", pairs), ("pair", named)):
        span = make_span(2, attributes=[{"key": key, "value": listed}])
        masked, found = redactor.redact_message(Stream.TRACE, make_request(span))
        assert b"hunterZq7" not in masked
        assert found == {"key": 1}
        assert b"*/*" in masked or key != "list"


def test_equal_values_still_join_in_hash_mode() -> None:
    """With a salt equal secrets have equal marks within a tenant, and other ones elsewhere."""
    redactor = Redactor(salt=b"s" * 32)

    def mark(value: str, tenant: str = "") -> bytes:
        message = make_request(make_span(2, attributes=[text("api_key", value)]))
        masked, _ = redactor.redact_message(Stream.TRACE, message, tenant)
        assert redactor.redact_message(Stream.TRACE, masked, tenant) == (masked, {})
        start = masked.index(b"[REDACTED:")
        return masked[start : masked.index(b"]", start)]

    assert mark("one") == mark("one")
    assert mark("one") != mark("two")
    assert mark("one") != mark("one", "other")


@pytest.mark.parametrize(("prefix", "alphabet", "length"), VENDOR_TOKENS)
def test_token_as_a_key_of_json_is_masked(
    redactor: Redactor, prefix: str, alphabet: str, length: int
) -> None:
    """A log of who used which token has the tokens as keys."""
    token = prefix + (alphabet * 20)[-length:]
    masked = redactor.redact_text(f'{{"used": {{"{token}": 3}}, "password": "Zq7xK2mV9t"}}')
    assert token not in masked and "Zq7xK2mV9t" not in masked
    assert token not in redactor.redact_text(f'{{"credentials": {{"{token}": ["a"]}}}}')
    assert token not in redactor.redact_text(f'{{"h": [["{token} for password", "a"]]}}')


@pytest.mark.parametrize(
    "token",
    [
        "c0ffee00" * 4 + "-us21",
        "Zq7x" * 19 + "+AStZq7xK2==",
        "Zq7xK2mV9tL" * 3 + "+ASbZq7xK=",
        "A3-ABCDEF-GHIJK1-LMNO2-PQRS3-TUVW4",
    ],
)
def test_token_with_its_mark_inside(redactor: Redactor, token: str) -> None:
    """Azure's keys have their signature behind most of their digits, Mailchimp's its region."""
    for stream, message in serialize(f"opened with {token}, and went"):
        assert token.encode() not in redactor.redact_message(stream, message)[0]


def test_token_as_a_name(redactor: Redactor) -> None:
    """Names of attributes, of maps in them and of records' fields are looked at like values."""
    token = "ghp_" + "Zq7xK2mV9tLw4RbN" * 3
    nested = AnyValue()
    nested.kvlist_value.values.add(key=token, value={"string_value": "x"})
    attributes = [text(token, "x"), {"key": "used", "value": nested}]
    group = {"attributes": attributes}
    span = make_span(2, attributes=attributes, events=[{"name": "e", **group}], links=[group])
    record = GatewayRecord(gateway="g", record_id="1", start_ns=1, attributes={token: "x"})
    for stream, message, count in (
        (Stream.TRACE, make_request(span), 6),
        (Stream.LOG, make_request(make_log(1, attributes=attributes)), 2),
        (Stream.RECORD, encode_records([record]), 1),
    ):
        masked, found = redactor.redact_message(stream, message)
        assert token.encode() not in masked
        assert found == {"vendor_token": count}


def test_first_of_two_equal_names_in_json(redactor: Redactor) -> None:
    """JSON readers keep the last value of a name: what they drop is masked nevertheless."""
    for first, last in (("Zq7xK2mV9tLw4RbN", ""), ("Zq7xK2mV9tLw4RbN", "x"), ("", "Zq7xK2mV9tL")):
        masked = redactor.redact_text(f'{{"password": "{first}", "password": "{last}"}}')
        assert "Zq7x" not in masked


@pytest.mark.parametrize("command", COMMANDS)
def test_command_as_a_list_of_words(redactor: Redactor, command: str) -> None:
    """`process.command_args` is read like the line that it was."""
    value = AnyValue()
    for word in shlex.split(fill(command, "Zq7xK2mV9tLw4RbN")):
        value.array_value.values.add(string_value=word)
    span = make_span(2, attributes=[{"key": "process.command_args", "value": value}])
    masked, found = redactor.redact_message(Stream.TRACE, make_request(span))
    assert b"Zq7xK2mV9tLw4RbN" not in masked
    assert found.total() >= 1
