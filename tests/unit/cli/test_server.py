"""Which server a question goes to, and what a slip in a variable's name is answered with."""

import pytest

from collector.cli.server import Server
from collector.errors import ConfigError


def test_the_environment_names_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """An option wins over HOPLINE_URL, that over the port of this machine; other settings help."""
    monkeypatch.setenv("HOPLINE_API_PORT", "9090")
    monkeypatch.setenv("HOPLINE_DATA_DIR", "elsewhere")
    assert Server.from_environment().url == "http://127.0.0.1:9090"
    monkeypatch.setenv("HOPLINE_URL", "http://hopline.example")
    assert Server.from_environment().url == "http://hopline.example"
    assert Server.from_environment("http://other.example").url == "http://other.example"


@pytest.mark.parametrize(
    ("slip", "meant"),
    [("HOPLINE_ULR", "HOPLINE_URL"), ("HOPLINE_TOKN", "HOPLINE_TOKEN"), ("Hopline_Api", "HOPLINE")],
)
def test_a_slip_is_no_silent_default(
    slip: str, meant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A misspelt variable would ask another server: it is an error with the right name."""
    monkeypatch.setenv(slip, "http://hopline.example")
    with pytest.raises(ConfigError, match=f"{slip} is not a setting: did you mean {meant}"):
        Server.from_environment()
