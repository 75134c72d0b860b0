"""
Bundles: one request in one file, to pass on and to open offline.

In: the documents of a timeline, its account and its stored rows. Out: JSON with the same
documents, redacted, and a digest over them that shows whether the file was changed. What could name
a person or open a door is replaced; equal values get equal marks inside one bundle, so the account
still reads. The digest is no signature: it proves that the file is whole, not who wrote it.
"""

import hashlib
import json
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from collector.decode.redaction.findings import Findings
from collector.decode.redaction.secrets import built_in
from collector.errors import BadQuestion

FORMAT = "hopline-bundle/1"
PARTS = ("timeline", "account", "stored")
# The documents are 8 levels deep; deeper is a sender's own row, which nobody reads in a bundle.
_MAX_DEPTH = 40
_MAX_BYTES = 512 * 1024 * 1024
# People and callers: kept apart by a mark, not by name.
_NAMES = re.compile(
    r"(consumer|user|user_?id|enduser.*|client_?address|client_?ip.*|caller_?ip.*|user_agent.*|"
    r"user-agent|peer_?address|.*email.*|.*subscription.*|downstream_.*address)",
    re.IGNORECASE,
)
# Of headers only those that carry ids are needed to follow a request.
_HEADER = re.compile(r"http\.(request|response)\.header\.(?P<name>.+)", re.IGNORECASE)
_ID_HEADER = re.compile(
    r".*(request[-_]id|correlation[-_]id|traceparent|b3|trace[-_]id|x-amzn-).*", re.IGNORECASE
)
_QUERY = re.compile(r"(?<=[?&;])([^=&;\s#]{1,200})=([^&;\s#]*)")


class _Redaction:
    """Marks for one bundle: salted, so the same person has another mark in the next one."""

    def __init__(self) -> None:
        self._salt = secrets.token_bytes(16)
        self._secrets = built_in()

    def mark(self, value: str) -> str:
        digest = hashlib.blake2b(value.encode(errors="replace"), key=self._salt, digest_size=5)
        return f"redacted-{digest.hexdigest()}"

    def clean(self, name: str, value: Any, depth: int = 0) -> Any:
        if depth > _MAX_DEPTH:
            return "redacted"
        if isinstance(value, Mapping):
            return {key: self.clean(str(key), inner, depth + 1) for key, inner in value.items()}
        if isinstance(value, list):
            return [self.clean(name, inner, depth + 1) for inner in value]
        if not isinstance(value, str) or not value:
            return value
        header = _HEADER.fullmatch(name)
        if self._secrets.is_secret_key(name) or (
            header and not _ID_HEADER.fullmatch(header["name"])
        ):
            return "redacted"
        if _NAMES.fullmatch(name):
            return self.mark(value)
        if "=" in value:
            value = _QUERY.sub(lambda found: f"{found[1]}=redacted", value)
        # rows of a time when redaction was off, or of rules that knew less
        return self._secrets.mask_text(value, Findings(), name)


def build_bundle(documents: Mapping[str, Any]) -> dict[str, Any]:
    """Return the bundle of the three documents named in `PARTS`."""
    redaction = _Redaction()
    redacted = {name: redaction.clean(name, documents[name]) for name in PARTS}
    redacted = _replace_names(redacted, documents, redaction)
    return {"format": FORMAT, "digest": _digest(redacted), **redacted}


def format_bundle(documents: Mapping[str, Any]) -> bytes:
    """Return the bundle as a file holds it. Written anew by another program its digest may fail."""
    text = json.dumps(build_bundle(documents), ensure_ascii=False, indent=1)
    return (text + "\n").encode("utf-8", "replace")


def write_bundle(path: Path, documents: Mapping[str, Any]) -> None:
    """Write the bundle to *path*, readable by its owner only."""
    path.touch(mode=0o600)
    path.write_bytes(format_bundle(documents))


def read_bundle(path: Path) -> dict[str, Any]:
    """
    Return the documents of a bundle.

    Raises:
        BadQuestion: the file is no bundle, or was changed after it was written. Never retried.
    """
    if path.stat().st_size > _MAX_BYTES:
        msg = f"{path} is too large to be a bundle"
        raise BadQuestion(msg)
    try:
        bundle = json.loads(path.read_bytes())
        parts = {name: bundle[name] for name in PARTS}
        is_known = bundle["format"] == FORMAT
        is_whole = bundle["digest"] == _digest(parts)
    except (ValueError, KeyError, TypeError, RecursionError) as exc:
        msg = f"{path} is not a bundle"
        raise BadQuestion(msg, hint="write one with hopline explain ID --bundle FILE") from exc
    if not is_known or not is_whole:
        why = "was changed after it was written" if is_known else "has an unknown format"
        msg = f"{path} {why}"
        raise BadQuestion(msg)
    return parts


def _replace_names(
    redacted: dict[str, Any], documents: Mapping[str, Any], redaction: _Redaction
) -> dict[str, Any]:
    """Replace in running text what was replaced in fields: the account names the consumer."""
    names: dict[str, str] = {}
    for record in documents["timeline"].get("gateway_records", ()):
        for field in ("consumer", "user", "client_address"):
            value = record.get(field)
            if value and len(value) > 2:
                names[value] = redaction.mark(value)
    if not names:
        return redacted
    # Longest first, or a short name would cut a piece out of a longer one.
    pattern = re.compile("|".join(re.escape(name) for name in sorted(names, key=len)[::-1]))

    def clean(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: clean(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [clean(inner) for inner in value]
        return pattern.sub(lambda m: names[m[0]], value) if isinstance(value, str) else value

    cleaned: dict[str, Any] = clean(redacted)
    return cleaned


def _digest(parts: Mapping[str, Any]) -> str:
    canonical = json.dumps(parts, ensure_ascii=True, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()
