"""
What a user of `deploy/clickhouse/users.sql` may do, enforced by the embedded engine.

Its sessions are those of a user `default`, which is given the grants of the user in question,
its roles' too, as they are in the file.
"""

import re
from pathlib import Path
from xml.etree import ElementTree

USERS = Path(__file__).parents[2] / "deploy" / "clickhouse" / "users.sql"
_GRANT = re.compile(r"^GRANT ON CLUSTER main (.+?) TO (\w+);$", re.MULTILINE)


def find_grants(user: str) -> list[str]:
    """Return what *user* is granted, as `SELECT ON hopline.*`; what its roles are is among it."""
    held = [what for what, whom in _GRANT.findall(USERS.read_text()) if whom == user]
    return [each for what in held for each in ([what] if " ON " in what else find_grants(what))]


def write_config(folder: Path, user: str) -> Path:
    """Write the engine's configuration in which everybody may do what *user* may."""
    users = ElementTree.Element("clickhouse")
    default = ElementTree.SubElement(ElementTree.SubElement(users, "users"), "default")
    ElementTree.SubElement(default, "password")
    ElementTree.SubElement(ElementTree.SubElement(default, "networks"), "ip").text = "::/0"
    grants = ElementTree.SubElement(default, "grants")
    # a session over HTTP begins in the database `default` whatever its user may do
    for grant in ["SHOW DATABASES ON default.*", *find_grants(user)]:
        ElementTree.SubElement(grants, "query").text = f"GRANT {grant}"
    for name in ("profiles", "quotas"):
        ElementTree.SubElement(ElementTree.SubElement(users, name), "default")
        ElementTree.SubElement(default, name.removesuffix("s")).text = "default"
    config = ElementTree.Element("clickhouse")
    place = ElementTree.SubElement(ElementTree.SubElement(config, "user_directories"), "users_xml")
    ElementTree.SubElement(place, "path").text = str(folder / "users.xml")
    for path, root in ((folder / "users.xml", users), (folder / "config.xml", config)):
        path.write_bytes(ElementTree.tostring(root))
    return folder / "config.xml"
