"""The file of times of single tenants and APIs: what goes before what, and what is refused."""

from pathlib import Path

import pytest

from collector.config import load_settings
from collector.errors import ConfigError
from collector.settings import Cold, Retention

_FILE = """
[apis."Payments API"]
record_days = 400
kept_span_days = 0

[apis.health]
record_days = 7

[tenants.acme]
record_days = 30
span_days = 3

[tenants.acme.apis.health]
record_days = 2

[tenants.default]
kept_span_days = 365
"""


def _load(path: Path, text: str, tenant: str = "") -> Retention:
    file = path / "retention.toml"
    file.write_text(text)
    settings = load_settings(retention=file, tenants="acme,globex", ttl_days=90, span_ttl_days=7)
    return settings.store(tenant).retention


def test_a_tenants_api_goes_before_an_api_before_a_tenant(tmp_path: Path) -> None:
    """Each is as said where it is said most closely; what nobody says is as the settings say."""
    acme, globex, default = (_load(tmp_path, _FILE, each) for each in ("acme", "globex", ""))
    assert (acme.record_days, acme.span_days, acme.kept_days) == (30, 3, 30)
    assert acme.api_record_days == (("Payments API", 400), ("health", 2))
    assert acme.api_kept_days == (("Payments API", 0),)
    assert acme.from_file == ("record_days", "span_days", "kept_days")
    assert (globex.record_days, globex.span_days, globex.kept_days) == (90, 7, 90)
    assert globex.api_record_days == (("Payments API", 400), ("health", 7))
    assert globex.from_file == ()
    assert (default.record_days, default.kept_days) == (90, 365)


def test_copies_are_made_for_one_api_alone(tmp_path: Path) -> None:
    """Where all else goes with the spans, an API that is kept longer is enough to copy."""
    text = "[tenants.acme]\nrecord_days = 7\n"
    assert not _load(tmp_path, text, "acme").does_keep
    text += "[tenants.acme.apis.pay]\nkept_span_days = 8\n"
    assert _load(tmp_path, text, "acme").does_keep


def test_cold_disks_are_named(tmp_path: Path) -> None:
    """A volume is called cold where nothing else is said."""
    found = _load(tmp_path, '[cold]\npolicy = "tiered"\nafter_days = 3\n')
    assert found.cold == Cold("tiered", "cold", 3)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("apis = 3", "apis is not a table"),
        ("[api.x]", "api is unknown"),
        ("[apis.x]\nrecord_days = -1", "apis.'x'.record_days is a number of days"),
        ("[apis.x]\nrecord_days = true", "apis.'x'.record_days is a number of days"),
        ("[apis.x]\nrecord_days = 1.5", "apis.'x'.record_days is a number of days"),
        ("[apis.x]\nrecord_days = 20001", "apis.'x'.record_days is a number of days"),
        ("[apis.x]\nspan_days = 3", "apis.'x'.span_days: spans do not say"),
        ("[apis.x]\nrecords = 3", "apis.'x'.records is unknown"),
        ('[apis.""]\nrecord_days = 3', "apis.'' is not an API name"),
        ('[apis."a\\nb"]\nrecord_days = 3', "is not an API name"),
        ("[tenants.nobody]\nspan_days = 3", "tenants.nobody is not in HOPLINE_TENANTS"),
        ("[tenants.acme]\nspan_day = 3", "tenants.acme.span_day is unknown"),
        ("[tenants.acme.apis.x]\nspan_days = 3", "tenants.acme.apis.'x'.span_days"),
        ("[cold]\nafter_days = 3", "cold.policy is the plain name"),
        ('[cold]\npolicy = "a\'b"\nafter_days = 3', "cold.policy is the plain name"),
        ('[cold]\npolicy = "tiered"', "cold.after_days is a number of days"),
        ('[cold]\npolicy = "tiered"\nafter_days = 0', "cold.after_days is at least 1"),
        (
            '[cold]\npolicy = "tiered"\nafter_days = 1\nengine_config = "/nowhere.xml"',
            "cold.engine_config is not a file path",
        ),
        ("[apis", "Expected ']'"),
    ],
)
def test_what_cannot_be_meant_is_refused(text: str, named: str, tmp_path: Path) -> None:
    """The setting, the file and the place in it are named, whichever tenant is opened."""
    with pytest.raises(ConfigError) as caught:
        _load(tmp_path, text, "globex")
    assert "HOPLINE_RETENTION: " in str(caught.value)
    assert "retention.toml" in str(caught.value)
    assert named in str(caught.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """To keep rows as if nothing had been said could remove what was to stay."""
    with pytest.raises(ConfigError, match="HOPLINE_RETENTION: .*nowhere"):
        load_settings(retention=tmp_path / "nowhere.toml").store()
