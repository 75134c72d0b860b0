"""
The operator's own rules, from a TOML file, and the salt of the hash mode.

    keys = ["x-tax-id"]                # more names, `-` and `_` alike
    allow = ["session.id"]             # names that are no secrets here
    [patterns]                         # kind = RE2 pattern of the secret
    customer_number = 'KD-[0-9]{8}'
"""

import contextlib
import os
import re
import secrets as random
import tempfile
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import re2

from collector.decode.redaction.names import compile_pattern
from collector.decode.redaction.redactor import Redactor
from collector.decode.redaction.secrets import Secrets
from collector.errors import ConfigError
from collector.settings import RedactSettings

_HINT = "keys and allow are lists of names, [patterns] holds kind = 'RE2 pattern'"
_KIND = re.compile(r"[a-z][a-z0-9_]{0,39}")
_SALT_BYTES = 32


def build_redactor(settings: RedactSettings) -> Redactor | None:
    """
    Build what masks before the disk; None when redaction is turned off.

    Raises:
        ConfigError: the rules or the salt cannot be read; the message names file and rule.
    """
    if not settings.is_on:
        return None
    return Redactor(build_secrets(settings), _load_salt(settings) if settings.is_hashing else b"")


def build_secrets(settings: RedactSettings) -> Secrets:
    """Build the rules: the built-in ones with those of the settings and of the file."""
    rules = _read_rules(settings.rules_path) if settings.rules_path else {}
    return Secrets(
        (*settings.keys, *rules.get("keys", ())),
        tuple(rules.get("allow", ())),
        tuple(rules.get("patterns", {}).items()),
    )


def _read_rules(path: Path) -> Mapping[str, Any]:
    try:
        rules = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as exc:
        raise ConfigError(f"HOPLINE_REDACT_RULES: {path}: {exc}", hint=_HINT) from exc
    for name, value in rules.items():
        if name not in ("keys", "allow", "patterns"):
            raise ConfigError(f"HOPLINE_REDACT_RULES: {path}: {name!r} is unknown", hint=_HINT)
        texts = list(value.values()) if isinstance(value, dict) else value
        is_right = isinstance(value, dict) == (name == "patterns") and isinstance(texts, list)
        if not is_right or not all(isinstance(each, str) and each for each in texts):
            raise ConfigError(f"HOPLINE_REDACT_RULES: {path}: {name} is wrong", hint=_HINT)
    for kind, pattern in rules.get("patterns", {}).items():
        _check_pattern(path, kind, pattern)
    return rules


def _check_pattern(path: Path, kind: str, pattern: str) -> None:
    where = f"HOPLINE_REDACT_RULES: {path}: patterns.{kind}"
    if not _KIND.fullmatch(kind):
        raise ConfigError(f"{where}: a kind is lower case letters, digits and _", hint=_HINT)
    try:
        compiled = compile_pattern(pattern)
    except (re2.error, UnicodeEncodeError) as exc:
        raise ConfigError(f"{where}: not a pattern of RE2: {exc}", hint=_HINT) from exc
    if compiled.search(b""):
        raise ConfigError(f"{where}: it matches the empty text", hint=_HINT)


def _load_salt(settings: RedactSettings) -> bytes:
    """Return the salt of the settings, else one that is made once and kept in the data folder."""
    if settings.salt:
        return settings.salt.encode()
    path = settings.salt_path
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        with tempfile.NamedTemporaryFile(dir=path.parent) as file:  # readable by its owner alone
            file.write(random.token_bytes(_SALT_BYTES))
            file.flush()
            os.fsync(file.fileno())
            # whole or not at all; the first of several processes wins
            with contextlib.suppress(FileExistsError):
                os.link(file.name, path)
    salt = path.read_bytes()
    if len(salt) < _SALT_BYTES:
        raise ConfigError(
            f"{path} has {len(salt)} of the {_SALT_BYTES} bytes of a salt",
            hint="remove it and a new one is made; equal values then look different than before",
        )
    return salt
