"""The operator's own rules: read from a file, checked at the start, and used."""

from pathlib import Path

import pytest

from collector.decode.redaction.rules import build_redactor
from collector.errors import ConfigError
from collector.settings import RedactSettings


def write_rules(folder: Path, text: str) -> RedactSettings:
    path = folder / "rules.toml"
    path.write_text(text)
    return RedactSettings(rules_path=path)


def test_names_and_patterns_of_the_file_are_used(tmp_path: Path) -> None:
    """A pattern masks what it matches, a name its value, and an allowed name nothing."""
    settings = write_rules(
        tmp_path,
        "keys = ['x-tax-id']\nallow = ['session.id']\n[patterns]\ncustomer = 'KD-[0-9]{8}'\n",
    )
    redactor = build_redactor(settings)
    assert redactor is not None
    assert redactor.redact_text("for KD-12345678, x_tax_id=77 9") == (
        "for [REDACTED], x_tax_id=[REDACTED] 9"
    )
    assert redactor.redact_text('{"session.id": "abcdef"}') == '{"session.id": "abcdef"}'


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("keys = 'x'", "keys is wrong"),
        ("[patterns]\na = '('", "patterns.a: not a pattern of RE2"),
        ("[patterns]\na = 'x*'", "patterns.a: it matches the empty text"),
        ("[patterns]\nA-b = 'x'", "a kind is lower case"),
        ("patterns = ['x']", "patterns is wrong"),
        ("key = ['x']", "'key' is unknown"),
        ("keys = [", "rules.toml"),
    ],
)
def test_rules_that_cannot_work_are_refused(tmp_path: Path, text: str, part: str) -> None:
    """The error names the setting, the file and the rule."""
    with pytest.raises(ConfigError, match="HOPLINE_REDACT_RULES") as caught:
        build_redactor(write_rules(tmp_path, text))
    assert part in caught.value.message


def test_rules_that_are_not_there_are_refused(tmp_path: Path) -> None:
    """A wrong path must not mean that nothing of one's own is masked."""
    with pytest.raises(ConfigError, match="rules.toml"):
        build_redactor(RedactSettings(rules_path=tmp_path / "rules.toml"))


def test_salt_is_made_once_and_kept(tmp_path: Path) -> None:
    """Two processes of one data folder write the same marks, and only the owner reads the salt."""
    settings = RedactSettings(is_hashing=True, salt_path=tmp_path / "data" / "redact.salt")
    texts = {str(build_redactor(settings).redact_text("password=x1y2")) for _ in range(2)}  # type: ignore[union-attr]  # it is on
    assert len(texts) == 1
    assert settings.salt_path.stat().st_mode & 0o777 == 0o600
    other = RedactSettings(is_hashing=True, salt="of the settings")
    assert build_redactor(other).redact_text("password=x1y2") not in texts  # type: ignore[union-attr]  # it is on


def test_salt_that_was_cut_off_is_an_error(tmp_path: Path) -> None:
    """A salt that a crash left empty would make equal values unequal, or marks guessable."""
    settings = RedactSettings(is_hashing=True, salt_path=tmp_path / "redact.salt")
    settings.salt_path.write_bytes(b"")
    with pytest.raises(ConfigError, match="0 of the 32 bytes of a salt"):
        build_redactor(settings)
