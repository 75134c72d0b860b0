"""Tokens of a file: their names, scopes and mistakes."""

from pathlib import Path

import pytest

from collector.errors import ConfigError, Unauthenticated
from collector.http.tokens import Tokens, make_token, read_tokens


def test_scope_decides_what_a_token_opens(tmp_path: Path) -> None:
    """An ingest token sends, a read token reads, admin does both; the name is told."""
    made = {name: make_token(name, [name]) for name in ("ingest", "read", "admin")}
    file = tmp_path / "tokens.toml"
    file.write_text("\n".join(entry for _, entry in made.values()))
    for setting, right in (("HOPLINE_INGEST_TOKENS", "ingest"), ("HOPLINE_QUERY_TOKENS", "read")):
        tokens = Tokens(["plain"], setting, file)
        for name, (secret, _) in made.items():
            if name in (right, "admin"):
                assert tokens.check_header(f"Bearer {secret}").name == name
            else:
                with pytest.raises(Unauthenticated, match="known bearer token"):
                    tokens.check_header(f"Bearer {secret}")
        assert tokens.check("plain").name == setting


def test_empty_file_lets_nobody_in(tmp_path: Path) -> None:
    """A file without entries is a check that nobody passes, not one that is off."""
    file = tmp_path / "tokens.toml"
    file.write_text("")
    with pytest.raises(Unauthenticated):
        Tokens([], "HOPLINE_INGEST_TOKENS", file).check("")


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("[a]\nscopes = ['read']", "[a]: sha256"),
        (f"[a]\nsha256 = '{'0' * 63}'\nscopes = ['read']", "[a]: sha256"),
        (f"[a]\nsha256 = '{'0' * 64}'", "[a]: scopes"),
        (f"[a]\nsha256 = '{'0' * 64}'\nscopes = ['write']", "[a]: scopes"),
        (
            f"[a]\nsha256 = '{'0' * 64}'\nscopes = ['read']\ntenants = 'x'",
            "[a]: tenants is unknown",
        ),
        (f"['a b']\nsha256 = '{'0' * 64}'\nscopes = ['read']", "a name is"),
        ("a = 1", "[a]: sha256"),
        ("[a", "tokens.toml"),
    ],
)
def test_mistake_in_the_file_is_named(tmp_path: Path, text: str, part: str) -> None:
    """The error says which entry is wrong and how it should be."""
    file = tmp_path / "tokens.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_tokens(file)
    assert part in caught.value.message
