"""
Attribute values that the tables hold as bytes, as JSON text.

The views write texts, numbers and flat lists as text. A list with a list inside, or of many items,
is stored whole behind a marker (`macros/attribute_text.sql`) and becomes JSON here, when it is
read. Text that carries the marker and is no such value stays as it is.

Source: opentelemetry-proto v1.11.0 common.proto (AnyValue); JSON forms as in the OpenTelemetry
Collector's `Value.AsString`.
"""

import base64
import binascii
import json
import math
from collections.abc import Iterable, Mapping
from functools import lru_cache
from itertools import chain
from typing import Any

from google.protobuf.message import DecodeError
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

MARKER = "data:application/x-otlp-value;base64,"
# protobuf's own limit for nested messages, which intake has applied already
_MAX_DEPTH = 100


def read_attributes(stored: Mapping[str, str]) -> Mapping[str, str]:
    """Return *stored* with every marked value as JSON text."""
    if not has_marked((stored,)):
        return stored
    return {key: read_text(value) for key, value in stored.items()}


def has_marked(maps: Iterable[Mapping[str, str]]) -> bool:
    """Tell whether a value in one of *maps* may be marked."""
    # One look at all of them: a page of a list has 6,000 values, and next to none is marked.
    return MARKER in "".join(chain.from_iterable([each.values() for each in maps]))


@lru_cache(4096)
def read_resource(stored: str) -> Mapping[str, str]:
    """Return the attributes of a resource from the JSON that is stored, shared by its spans."""
    return read_attributes(json.loads(stored)) if stored else {}


def read_text(stored: str) -> str:
    """Return a marked value as JSON text, anything else unchanged."""
    if not stored.startswith(MARKER):
        return stored
    try:
        value = AnyValue.FromString(base64.b64decode(stored[len(MARKER) :], validate=True))
    except (binascii.Error, ValueError, DecodeError):
        return stored
    return json.dumps(_plain(value, _MAX_DEPTH), ensure_ascii=False, separators=(",", ":"))


def _plain(value: AnyValue, depth: int) -> Any:
    kind = value.WhichOneof("value")
    if depth == 0 or kind is None:
        return None
    if kind == "array_value":
        return [_plain(each, depth - 1) for each in value.array_value.values]
    if kind == "kvlist_value":
        return {each.key: _plain(each.value, depth - 1) for each in value.kvlist_value.values}
    content = getattr(value, kind)
    if kind == "bytes_value":
        return base64.b64encode(content).decode()
    if kind == "double_value" and not math.isfinite(content):
        return None
    return content
