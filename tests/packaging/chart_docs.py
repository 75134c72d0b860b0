"""
The chart's README table and values.schema.json, both written from its values.yaml.

`# -- text` above a value is its description. What a type does not say stands in `LIMITS`.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

CHART = Path(__file__).parents[2] / "deploy" / "helm" / "hopline"
_LINE = re.compile(r"^(?P<indent> *)(?P<name>[A-Za-z]\w*):(?P<value>.*)$")
_PORT = {"type": "integer", "minimum": 0, "maximum": 65535}
_COUNT = {"type": "integer", "minimum": 1}
_FREE = {"type": "object"}
_TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}
# An item of these lists has a shape of its own, which Kubernetes checks.
_LIST_ITEMS = {"azure.workspaceIds", "azure.tables", "eventHubs.topics", "image.pullSecrets"} | {
    "httpRoute.hostnames",
    "azure.resourceIds",
    "tenants",
}
LIMITS: dict[str, dict[str, Any]] = {
    "mode": {"enum": ["single", "roles"]},
    "image.pullPolicy": {"enum": ["Always", "IfNotPresent", "Never"]},
    "service.type": {"enum": ["ClusterIP", "NodePort", "LoadBalancer"]},
    "settings": {**_TEXTS, "propertyNames": {"pattern": "^HOPLINE_[A-Z_]+$"}},
    "ingest.persistence.size": {"type": "string", "pattern": "^[1-9][0-9]*Gi$"},
    "ports.zipkin": _PORT,
    "ports.jaegerHttp": _PORT,
    "ports.jaegerGrpc": _PORT,
    "queryPorts.jaegerQuery": _PORT,
    "queryPorts.sql": _PORT,
    "ingest.replicas": _COUNT,
    "ingest.processes": {**_COUNT, "maximum": 64},
    "query.replicas": _COUNT,
    "ingest.autoscaling.minReplicas": _COUNT,
    "ingest.autoscaling.maxReplicas": _COUNT,
    "single.resources": _FREE,
    "ingest.resources": _FREE,
    "ingest.loaderResources": _FREE,
    "query.resources": _FREE,
    "affinity": _FREE,
}


class Value(NamedTuple):
    """One value as it is documented. `default` is as YAML reads it."""

    path: str
    description: str
    default: Any


def values() -> Iterator[Value]:
    """Yield the values that have a description, in the order of the file."""
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())
    parents: list[str] = []
    description = ""
    for line in (CHART / "values.yaml").read_text().splitlines():
        if (text := line.strip()).startswith("# -- "):
            description = text.removeprefix("# -- ")
        elif (found := _LINE.match(line)) and "-" not in line[: found.end("name")]:
            parents = [*parents[: len(found["indent"]) // 2], found["name"]]
            if description:
                yield Value(".".join(parents), description, _at(defaults, parents))
            description = ""


def readme_table() -> str:
    """Return the table of all values as Markdown."""
    lines = ["| value | default | meaning |", "|---|---|---|"]
    for value in values():
        default = json.dumps(value.default) if value.default != "" else "empty"
        lines.append(f"| `{value.path}` | `{default}` | {value.description} |")
    return "\n".join(lines)


def schema() -> str:
    """Return the JSON schema of the values."""
    described = {value.path: value for value in values()}
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())
    body = _schema_of(defaults, "", described)
    document = {"$schema": "http://json-schema.org/draft-07/schema#", "title": "hopline", **body}
    return json.dumps(document, indent=1) + "\n"


def _schema_of(value: Any, path: str, described: dict[str, Value]) -> dict[str, Any]:
    known = described.get(path)
    note = {"description": known.description} if known else {}
    if path in LIMITS:
        return {**note, **LIMITS[path]}
    if isinstance(value, dict) and not known:
        below = {
            name: _schema_of(part, f"{path}.{name}".lstrip("."), described)
            for name, part in value.items()
        }
        if not path:
            below["global"] = {"type": "object"}  # Helm passes it to every chart
        return {**note, "type": "object", "additionalProperties": False, "properties": below}
    if isinstance(value, dict):
        return {**note, **_TEXTS}
    if isinstance(value, list):
        items = "string" if path in _LIST_ITEMS else "object"
        return {**note, "type": "array", "items": {"type": items}}
    names = {bool: "boolean", int: "integer", str: "string"}
    return {**note, "type": names[type(value)]}


def _at(tree: Any, path: list[str]) -> Any:
    for name in path:
        tree = tree[name]
    return tree
