"""
Protobuf text that is not UTF-8, made so.

The protobuf parser refuses a whole request for one Latin-1 header. Only such requests come here.
"""

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from collector.decode.protobuf.split import read_fields, write_field
from collector.errors import Undecodable

# the parser's own limit; deeper bytes are refused by it anyway
_MAX_DEPTH = 100


def repair_text(data: bytes, descriptor: Descriptor, depth: int = 0) -> tuple[bytes, int]:
    """
    Replace what is not UTF-8 in the string fields of *data*, a message of type *descriptor*.

    Returns:
        The message and how many strings were repaired.

    Raises:
        Undecodable: the bytes are not such a message, or nest too deep. Never retried.
    """
    if depth > _MAX_DEPTH:
        raise Undecodable(f"messages nest deeper than {_MAX_DEPTH} levels")
    fields: dict[int, FieldDescriptor] = dict(descriptor.fields_by_number)
    parts: list[bytes] = []
    repaired = 0
    for number, wire_type, start, at, stop in read_fields(data, 0, len(data)):
        field = fields.get(number)
        if field is not None and wire_type == 2:
            value, count = _repair_value(data[at:stop], field, depth)
            if count:
                parts.append(write_field(number, value))
                repaired += count
                continue
        parts.append(data[start:stop])
    return b"".join(parts), repaired


def _repair_value(value: bytes, field: FieldDescriptor, depth: int) -> tuple[bytes, int]:
    if field.type == FieldDescriptor.TYPE_MESSAGE and field.message_type is not None:
        return repair_text(value, field.message_type, depth + 1)
    if field.type == FieldDescriptor.TYPE_STRING:
        try:
            value.decode()
        except UnicodeDecodeError:
            return value.decode("utf-8", "replace").encode(), 1
    return value, 0
