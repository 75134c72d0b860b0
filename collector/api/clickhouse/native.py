"""
The two blocks of the format Native that the engine does not write as clients expect them.

Source: ClickHouse documentation, "Native format"; clickhouse-go 2.51 `lib/proto/block.go`.
"""

from collections.abc import Sequence

from collector.wire.varint import encode_varint

_WITH_BLOCK_INFO = 51_903
_WITH_CUSTOM_SERIALIZATION = 54_454
# overflow flag and bucket number, both with the values that mean "none"
_BLOCK_INFO = b"\x01\x00\x02\xff\xff\xff\xff\x00"


def write_empty(columns: Sequence[tuple[str, str]]) -> bytes:
    """Write a block without rows of (name, type) columns: the engine writes no bytes at all."""
    parts = [encode_varint(len(columns)), encode_varint(0)]
    parts += [_text(each) for column in columns for each in column]
    return b"".join(parts)


def write_hello(name: str, version: str, timezone: str, protocol: int) -> bytes:
    """
    Write the row with which clickhouse-go greets: name, version, revision and time zone.

    The client reads this one block in the shape of its own *protocol* version. The revision in it
    is 0, so that it reads all others in the plain shape, which is all that the engine writes.
    """
    columns = (
        ("displayName()", "String", _text(name)),
        ("version()", "String", _text(version)),
        ("revision()", "UInt32", bytes(4)),
        ("timezone()", "String", _text(timezone)),
    )
    parts = [_BLOCK_INFO] if protocol >= _WITH_BLOCK_INFO else []
    parts += [encode_varint(len(columns)), encode_varint(1)]
    for title, kind, value in columns:
        parts += [_text(title), _text(kind)]
        parts += [b"\x00"] if protocol >= _WITH_CUSTOM_SERIALIZATION else []
        parts.append(value)
    return b"".join(parts)


def _text(value: str) -> bytes:
    data = value.encode()
    return encode_varint(len(data)) + data
