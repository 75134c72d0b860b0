"""A record's fields are said once; whatever else spells them is written from that list."""

from dataclasses import fields

import pytest
from google.protobuf.descriptor import FieldDescriptor
from pydantic import TypeAdapter

from collector.answers import record_name
from collector.model import GatewayRecord
from collector.wire import gateway_record_pb2 as wire
from tests.record_fields import COLLECTOR, list_fields, paths, render

_KINDS = {
    FieldDescriptor.TYPE_STRING: "string",
    FieldDescriptor.TYPE_INT64: "int64",
    FieldDescriptor.TYPE_INT32: "int32",
    FieldDescriptor.TYPE_BOOL: "bool",
    FieldDescriptor.TYPE_DOUBLE: "double",
    FieldDescriptor.TYPE_MESSAGE: "KeyValue",
}


@pytest.mark.parametrize("path", paths())
def test_golden_fields_of_a_record_are_written_from_the_list(path: str) -> None:
    """Each generated part equals the one made from model.GatewayRecord."""
    text = (COLLECTOR / path).read_text()
    assert text == render(path), f"{path} is out of date: run `make golden`"


def test_the_generated_class_knows_the_fields_of_the_list() -> None:
    """Name, number and type of each field in the descriptor are those of the list."""
    expected = [
        (each.name, each.stored.number, each.wire_type.split()[-1]) for each in list_fields()
    ]
    described = wire.GatewayRecord.DESCRIPTOR.fields
    assert [(f.name, f.number, _KINDS[f.type]) for f in described] == expected


def test_every_field_but_the_time_of_arrival_is_in_the_list() -> None:
    """A field without a number would be read and never be kept."""
    names = [field.name for field in fields(GatewayRecord)]
    assert names == [*(each.name for each in list_fields()), "received_ns"]


def test_numbers_go_up_so_that_the_writer_can_follow_the_list() -> None:
    """Fields stand in the order of their numbers, each number once."""
    numbers = [each.stored.number for each in list_fields()]
    assert numbers == sorted(set(numbers))


def test_the_api_says_what_each_field_means() -> None:
    """The description of a record's JSON takes the meanings from the list."""
    described = TypeAdapter(GatewayRecord).json_schema(mode="serialization")["properties"]
    for each in list_fields():
        assert described[record_name(each.name)]["description"] == each.stored.meaning
