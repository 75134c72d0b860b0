"""
The file of `HOPLINE_RETENTION`: times of single tenants and APIs, and what lies on cold disks.

    [cold]
    policy = "tiered"
    after_days = 3

    [apis."Payments API"]
    record_days = 400
    kept_span_days = 400

    [tenants.acme]
    span_days = 3

    [tenants.acme.apis.health]
    record_days = 7

What is said of a tenant goes before the settings, of an API before both, and of a tenant's API
before all. Spans do not say of which API they are; the copies of those worth it do.
"""

import re
import tomllib
from collections.abc import Container, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from collector.errors import ConfigError
from collector.settings import Cold, Retention

MAX_DAYS = 20_000
_MAX_APIS = 1_000
_MAX_NAME_CHARACTERS = 500
_OF_API = {"record_days": "api_record_days", "kept_span_days": "api_kept_days"}
_OF_TENANT = {"record_days": "record_days", "span_days": "span_days", "kept_span_days": "kept_days"}
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
_HINT = "see What is kept in deploy/README.md"


def read_retention(path: Path, usual: Retention, tenant: str, tenants: Container[str]) -> Retention:
    """
    Return the times of *tenant*: *usual* ones where the file says nothing.

    Raises:
        ConfigError: the file cannot be read, or says something wrong of any tenant; names it.
    """
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as exc:
        raise _wrong(path, str(exc)) from exc
    _check_names(path, "", document, ("cold", "apis", "tenants"))
    usual = replace(usual, cold=_read_cold(path, document.get("cold")))
    usual = found = _with_apis(path, "apis", document.get("apis", {}), usual)
    entries = _table(path, "tenants", document.get("tenants", {}))
    for name, entry in entries.items():
        where = f"tenants.{name}"
        if name not in tenants:
            raise _wrong(path, f"{where} is not in HOPLINE_TENANTS")
        of_tenant = _of_tenant(path, where, entry, usual)
        if name == tenant:
            found = of_tenant
    return found


def _of_tenant(path: Path, where: str, entry: Any, usual: Retention) -> Retention:
    fields = _table(path, where, entry)
    _check_names(path, f"{where}.", fields, (*_OF_TENANT, "apis"))
    days = {
        _OF_TENANT[name]: _days(path, f"{where}.{name}", value)
        for name, value in fields.items()
        if name != "apis"
    }
    record_days = days.get("record_days", usual.record_days)
    if "record_days" in days:  # copies of spans live as long as records, unless told otherwise
        days.setdefault("kept_days", record_days)
    own = replace(
        usual,
        record_days=record_days,
        span_days=days.get("span_days", usual.span_days),
        kept_days=days.get("kept_days", usual.kept_days),
        from_file=tuple(days),
    )
    return _with_apis(path, f"{where}.apis", fields.get("apis", {}), own)


def _with_apis(path: Path, where: str, entries: Any, usual: Retention) -> Retention:
    apis = _table(path, where, entries)
    if len(apis) > _MAX_APIS:
        raise _wrong(path, f"{where} are more than {_MAX_APIS:,}")
    found = {name: dict(getattr(usual, name)) for name in _OF_API.values()}
    for api, entry in apis.items():
        place = f"{where}.{api[:40]!r}"
        if not 0 < len(api) <= _MAX_NAME_CHARACTERS or not api.isprintable():
            raise _wrong(path, f"{place} is not an API name")
        fields = _table(path, place, entry)
        if "span_days" in fields:
            raise _wrong(
                path, f"{place}.span_days: spans do not say which API they belong to; "
                "kept_span_days is for the copies of those worth keeping",
            )  # fmt: skip
        _check_names(path, f"{place}.", fields, _OF_API)
        for name, value in fields.items():
            found[_OF_API[name]][api] = _days(path, f"{place}.{name}", value)
    pairs = {name: tuple(sorted(each.items())) for name, each in found.items()}
    return replace(
        usual, api_record_days=pairs["api_record_days"], api_kept_days=pairs["api_kept_days"]
    )


def _read_cold(path: Path, entry: Any) -> Cold | None:
    if entry is None:
        return None
    fields = _table(path, "cold", entry)
    _check_names(path, "cold.", fields, ("policy", "volume", "after_days", "engine_config"))
    words = {"policy": fields.get("policy"), "volume": fields.get("volume", "cold")}
    for name, word in words.items():
        if not isinstance(word, str) or not _WORD.fullmatch(word):
            raise _wrong(path, f"cold.{name} is the plain name of a {name} of ClickHouse's")
    config = fields.get("engine_config", "")
    if not isinstance(config, str) or (config and not Path(config).is_file()):
        raise _wrong(path, "cold.engine_config is not a file path")
    days = _days(path, "cold.after_days", fields.get("after_days"))
    if not days:
        raise _wrong(path, "cold.after_days is at least 1")
    return Cold(str(words["policy"]), str(words["volume"]), days, config)


def _table(path: Path, where: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise _wrong(path, f"{where} is not a table")
    return value


def _check_names(path: Path, where: str, fields: Mapping[str, Any], known: Container[str]) -> None:
    for name in fields:
        if name not in known:
            raise _wrong(path, f"{where}{name[:40]} is unknown")


def _days(path: Path, where: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_DAYS:
        raise _wrong(path, f"{where} is a number of days from 0, for ever, to {MAX_DAYS}")
    return value


def _wrong(path: Path, text: str) -> ConfigError:
    return ConfigError(f"HOPLINE_RETENTION: {path}: {text}", hint=_HINT)
