"""
What deployment tools say they changed.

In: a JSON object. Out: a `ToldChange` whose every field is checked, or `BadQuestion` naming one.
"""

import hashlib
from collections.abc import Mapping

from collector.decode.redaction.findings import Findings
from collector.decode.redaction.secrets import Secrets
from collector.errors import BadQuestion
from collector.query.search.filters import collect_pairs, read_text
from collector.query.timestamps import parse_timestamp
from collector.store import ToldChange
from collector.timestamps import NS_PER_DAY

TOLD_FIELDS = {
    "at": "When, as in `start` of a search; default: now.",
    "kind": "What sort of change: `deployment`, `configuration`, `flag`…",
    "gateway": "The gateway that was changed.",
    "api": "The API that was changed.",
    "service": "The service that was changed.",
    "value": "What it was changed to, such as a version.",
    "title": "The change in words.",
    "url": "Where more about it can be read.",
}
"""The fields that are read. One of gateway, api and service, and value or title are needed."""

TOLD_SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        name: {"type": "string", "description": text} for name, text in TOLD_FIELDS.items()
    },
}
_TOLD_HINT = (
    'for example {"service": "orders", "value": "1.4.2", "title": "Release 1.4.2", '
    '"url": "https://ci.example/42"}'
)


def read_told(document: object, now_ns: int, secrets: Secrets) -> ToldChange:
    """
    Read what a deployment tool says, secrets in it masked.

    Raises:
        UnknownParameter: a field is unknown.
        BadQuestion: a field is missing or not what it should be; the message names it.
    """
    if not isinstance(document, Mapping):
        msg = "the body is not a JSON object"
        raise BadQuestion(msg, hint=_TOLD_HINT)
    for name, value in document.items():
        if not isinstance(value, str) and not (name == "at" and isinstance(value, int)):
            msg = f"{name}: is not text"
            raise BadQuestion(msg)
    pairs = [(name, str(value)) for name, value in document.items()]
    given = {
        name: read_text(name, text) for name, text in collect_pairs(pairs, TOLD_FIELDS).items()
    }
    if not any(given.get(name) for name in ("service", "api", "gateway")):
        msg = "service: say which service, API or gateway was changed"
        raise BadQuestion(msg, hint=_TOLD_HINT)
    if not given.get("value") and not given.get("title"):
        msg = "value: say what it was changed to, or describe it as `title`"
        raise BadQuestion(msg, hint=_TOLD_HINT)
    url = given.get("url", "")
    if url and not url.startswith(("https://", "http://")):
        msg = "url: is not an http address"
        raise BadQuestion(msg)
    at_ns = now_ns
    if "at" in given:
        at_ns = parse_timestamp(given["at"], name="at", now_ns=now_ns)
    if at_ns > now_ns + NS_PER_DAY:
        msg = "at: is more than a day in the future"
        raise BadQuestion(msg)
    texts = {
        name: secrets.mask_text(given.get(name, ""), Findings(), name)
        for name in TOLD_FIELDS
        if name != "at"
    }
    words = "\x00".join((str(at_ns), *texts.values()))
    return ToldChange(
        id=hashlib.sha256(words.encode("utf-8", "replace")).hexdigest()[:16],
        time_ns=at_ns,
        **{**texts, "kind": texts["kind"] or "change"},
    )
