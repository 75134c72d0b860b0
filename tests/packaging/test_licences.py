"""The licences of what the image holds: each is one that we may ship."""

import re
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
# as SPDX expressions name them, and the older words of some packages for the same ones
_ALLOWED = frozenset({
    "0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "ISC", "MIT", "MIT-0",
    "MPL-2.0", "PSF-2.0", "Zlib", "3-Clause BSD License", "Apache License 2.0",
    "Apache Software License", "BSD License", "MIT License",
    "Mozilla Public License 2.0 (MPL 2.0)", "Python Software Foundation License",
})  # fmt: skip


def _packages() -> Iterator[str]:
    lock = (ROOT / "deploy" / "docker" / "requirements.lock").read_text()
    for name, condition in re.findall(r"^([\w.-]+)==[^\s;]+([^\\\n]*)", lock, re.MULTILINE):
        if "win32" not in condition:
            yield name


def find_licences(package: str) -> list[str]:
    """Return the licences of an installed package, taken apart."""
    told: Any = distribution(package).metadata  # typed without the methods of a message
    expression = told.get("License-Expression") or ""
    if expression:
        return [each.strip("() ") for each in re.split(r" AND | OR ", expression)]
    words = [each for each in told.get_all("Classifier") or () if each.startswith("License ::")]
    return [each.rpartition(" :: ")[2] for each in words] or [str(told.get("License") or "")]


@pytest.mark.parametrize("package", sorted(_packages()))
def test_package_of_the_image_has_a_licence_that_may_be_shipped(package: str) -> None:
    """A package under another licence, or under none, is decided about before it is shipped."""
    assert set(find_licences(package)) <= _ALLOWED


def test_licence_that_binds_what_it_is_shipped_with_is_refused() -> None:
    """The list holds no licence of the GPL family."""
    assert not [each for each in _ALLOWED if re.search("GPL|GNU|SSPL|BUSL", each)]
