"""
Protobuf's variable-length numbers.

Source: protobuf.dev, Encoding, Base 128 Varints.
"""

_ONE_BYTE = [bytes([number]) for number in range(128)]


def encode_varint(value: int) -> bytes:
    """Return *value*, which is not negative, as a protobuf varint."""
    if value < 128:
        return _ONE_BYTE[value]
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
