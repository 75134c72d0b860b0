"""Redaction against a corpus: what people would call a secret goes, everything else stays."""

import random
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
HEX = "0123456789abcdef"
# prefix, alphabet and length of what follows, as the vendors document their tokens
VENDOR_TOKENS = [
    ("ghp_", _ALPHABET, 36),
    ("gho_", _ALPHABET, 36),
    ("github_pat_", _ALPHABET, 82),
    ("glpat-", _ALPHABET, 20),
    ("xoxb-", _ALPHABET, 40),
    ("xapp-1-", _ALPHABET, 40),
    ("https://hooks.slack.com/services/T0000/B0000/", _ALPHABET, 24),
    ("sk_live_", _ALPHABET, 24),
    ("rk_test_", _ALPHABET, 24),
    ("whsec_", _ALPHABET, 32),
    ("AIza", _ALPHABET, 35),
    ("ya29.", _ALPHABET, 60),
    ("GOCSPX-", _ALPHABET, 28),
    ("sk-proj-", _ALPHABET, 48),
    ("sk-ant-api03-", _ALPHABET, 90),
    ("sk-", _ALPHABET, 48),
    ("npm_", _ALPHABET, 36),
    ("pypi-", _ALPHABET, 60),
    ("dckr_pat_", _ALPHABET, 27),
    ("dop_v1_", HEX, 64),
    ("hvs.", _ALPHABET, 90),
    ("dapi", HEX, 32),
    ("shpat_", HEX, 32),
    ("hf_", _ALPHABET, 34),
    ("lin_api_", _ALPHABET, 40),
    ("glsa_", _ALPHABET, 41),
    ("NRAK-", string.ascii_uppercase + string.digits, 27),
    ("sntrys_", _ALPHABET, 60),
    ("figd_", _ALPHABET, 40),
    ("ATATT3", _ALPHABET, 60),
    ("AKIA", string.ascii_uppercase + string.digits, 16),
    ("key-", HEX, 32),
    ("LS0tLS1CRUdJTi", _ALPHABET, 60),
]


def read_corpus(name: str) -> list[str]:
    lines = (_CORPUS / name).read_text().splitlines()
    return [line for line in lines if line and not line.startswith("# ")]


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


@pytest.mark.parametrize("template", TEMPLATES)
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
    for value in (token, f"called with {token}", f"/a/{token}/b", f'["{token}"]'):
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
    token = prefix + (alphabet * 3)[-length:]
    masked = redactor.redact_text(f'{{"used": {{"{token}": 3}}, "password": "Zq7xK2mV9t"}}')
    assert token not in masked and "Zq7xK2mV9t" not in masked
