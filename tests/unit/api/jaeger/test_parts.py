"""How much of an answer over gRPC is made before it is read."""

from collections.abc import Iterator

from collector.api.jaeger.server import take_part

MIB = 1024 * 1024


def test_a_part_is_made_when_it_is_wanted() -> None:
    """Of a large answer a few megabytes are made at a time, and nothing is left out."""
    made: list[int] = []

    def messages() -> Iterator[bytes]:
        for number in range(10):
            made.append(number)
            yield bytes([number]) * MIB

    answer = messages()
    assert take_part(answer) == [b"\0" * MIB, b"\1" * MIB]
    assert made == [0, 1]
    rest = [message for _ in range(5) for message in take_part(answer)]
    assert [message[0] for message in rest] == [2, 3, 4, 5, 6, 7, 8, 9]
    assert take_part(answer) == []


def test_a_message_larger_than_a_part_is_one() -> None:
    """However large a message is, it is given whole."""
    answer = iter([b"x" * 5 * MIB, b"y"])
    assert [len(each) for each in take_part(answer)] == [5 * MIB]
    assert take_part(answer) == [b"y"]
