"""A mapping file is checked when it is read: what is wrong is told by gateway and field."""

import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from collector.__main__ import hopline
from collector.decode import gateways
from collector.decode.gateways import find_adapters, get_adapter, use_mappings
from collector.decode.mapped.mapping import MappingError, parse_mappings
from collector.errors import ConfigError, UnknownDoor

EXAMPLE = Path(__file__).parents[4] / "deploy" / "gateways" / "mappings" / "example.toml"
GOOD = """
[[gateway]]
name = "front"
match = ["kind=access"]
[gateway.fields]
start = "at"
status = "code"
duration_ms = "took"
"""


def _with(old: str, new: str) -> str:
    assert old in GOOD
    return GOOD.replace(old, new)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[gateway", "not valid TOML"),
        ("", "there is no gateway"),
        ("gateway = 7", "there is no gateway"),
        (GOOD + "[other]\n", "'other' is unknown"),
        (_with('name = "front"', ""), "gateway 1: name: expected"),
        (_with('"front"', '"Front Door"'), "gateway 1: name: expected"),
        (GOOD + GOOD, "gateway 'front': the name is used twice"),
        (_with("match =", "mach ="), "gateway 'front': mach is unknown: did you mean match?"),
        (_with('match = ["kind=access"]', ""), "gateway 'front': match: is missing"),
        (_with('["kind=access"]', "[7]"), "gateway 'front': match: expected a string"),
        (_with('["kind=access"]', '[""]'), "gateway 'front': match: '' is not a path"),
        (
            _with("status =", "statsu ="),
            "fields.statsu: there is no such field: did you mean status?",
        ),
        (
            _with("duration_ms", "duration"),
            "fields.duration: the unit is missing: use one of duration_ns",
        ),
        (_with('"at"', "[]"), "fields.start: expected a string, or a list of strings"),
        (_with('"at"', '"a.b.c.d.e.f.g.h.i"'), "fields.start: 'a.b.c.d.e.f.g.h.i' is not a path"),
        (GOOD + "[gateway.values]\nmethod = {}\n", "values.method: not under fields"),
        (GOOD + "[gateway.values]\nstatus = 7\n", "values.status: expected a table of strings"),
        (_with('status = "code"', ""), "fields: at least one of status, path"),
        (_with("match =", 'line = "(?P<a>["\nmatch ='), "line: not a valid RE2 pattern: missing ]"),
        (_with("match =", 'line = "[0-9]+"\nmatch ='), "line: the pattern has no named groups"),
        (_with("match =", "product = 7\nmatch ="), "product: expected a string"),
        (_with("[gateway.fields]", "[gateway.fields]\nurl = 7"), "fields.url: expected a string"),
    ],
)
def test_a_fault_is_told_by_gateway_and_field(text: str, said: str) -> None:
    """Nobody has to find out from refused records what is wrong with the file."""
    with pytest.raises(MappingError) as caught:
        parse_mappings(text)
    assert said in str(caught.value)


def test_the_example_is_a_mapping() -> None:
    """What the documents show can be used as it stands."""
    assert [each.name for each in parse_mappings(EXAMPLE.read_text())] == ["edge", "edge-text"]


def test_the_file_of_the_setting_adds_adapters(tmp_path: Path) -> None:
    """They are found by name beside the others, until another file or none is named."""
    path = tmp_path / "mappings.toml"
    path.write_text(GOOD)
    try:
        use_mappings(str(path))
        assert get_adapter("front").is_mapped
        assert "kong" in find_adapters()
    finally:
        use_mappings("")
    with pytest.raises(UnknownDoor):
        get_adapter("front")


def test_a_mapped_gateway_may_be_told_otherwise_and_a_coded_one_not(tmp_path: Path) -> None:
    """Users rename the fields of a log; an adapter in code is no mapping."""
    path = tmp_path / "mappings.toml"
    path.write_text(_with('"front"', '"traefik"'))
    try:
        use_mappings(str(path))
        record = get_adapter("traefik").decode(b'{"kind":"access","at":1772600767,"code":204}')
        assert record.records[0].status == 204
        path.write_text(_with('"front"', '"kong"'))
        with pytest.raises(ConfigError, match="'kong': a built-in adapter has this name"):
            use_mappings(str(path))
    finally:
        use_mappings("")


@pytest.mark.parametrize("content", [None, b"[[gateway]]\nname = 'x'", b"\xff\xfe"])
def test_check_config_names_the_setting_and_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None
) -> None:
    """A file that is not there or cannot be used stops the start, and the reason says where."""
    path = tmp_path / "mappings.toml"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setenv("HOPLINE_GATEWAY_MAPPINGS", str(path))
    result = CliRunner().invoke(hopline, ["check-config"])
    assert isinstance(result.exception, ConfigError)
    assert str(result.exception).startswith(f"HOPLINE_GATEWAY_MAPPINGS: {path}: ")


def test_each_mapping_of_the_package_is_one_of_its_name() -> None:
    """A file holds the gateway it is called after, so that one finds it."""
    for path in Path(gateways.__path__[0]).glob("*.toml"):
        names = [each["name"] for each in tomllib.loads(path.read_text())["gateway"]]
        assert names == [path.stem]
