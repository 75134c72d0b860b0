"""
Which decoder reads which format.

A protocol registers here with one line. Decoders are imported when their first request arrives:
the legacy Jaeger types alone cost 60 ms at start.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from importlib import import_module

from collector.decode.fields import derive_record_id
from collector.decode.gateway_logs import find_records
from collector.decode.gateways import get_adapter
from collector.decode.otlp.protobuf import MAX_AHEAD_NS, MIN_TIME_NS
from collector.decode.quality import TIME_OF_ARRIVAL, check_clock
from collector.decode.records.codec import encode_records
from collector.decode.result import DecodeResult
from collector.errors import UnsupportedFormat
from collector.model import Decoded, Envelope, GatewayRecord, RecordError, Stream
from collector.timestamps import NS_PER_S

_Decoder = Callable[[bytes, int], DecodeResult]
_DECODERS: Mapping[tuple[str, Stream], str] = {
    ("otlp-protobuf", Stream.TRACE): "otlp.protobuf.decode_traces",
    ("otlp-protobuf", Stream.LOG): "otlp.protobuf.decode_logs",
    ("otlp-protobuf", Stream.METRIC): "otlp.metrics.decode_metrics",
    ("otlp-json", Stream.TRACE): "otlp.json.decode_traces",
    ("otlp-json", Stream.LOG): "otlp.json.decode_logs",
    ("otlp-json", Stream.METRIC): "otlp.json.decode_metrics",
    ("zipkin-json", Stream.TRACE): "zipkin.decode_json",
    ("zipkin-protobuf", Stream.TRACE): "zipkin.decode_protobuf",
    ("jaeger-thrift-binary", Stream.TRACE): "jaeger.convert.decode_thrift_binary",
    ("jaeger-thrift-compact", Stream.TRACE): "jaeger.convert.decode_thrift_compact",
    ("jaeger-protobuf", Stream.TRACE): "jaeger.convert.decode_protobuf",
    ("envoy-als", Stream.LOG): "envoy.access_log_service.decode_access_logs",
}
# a message of records is one row of the landing table: this keeps it to a few MiB
_RECORDS_PER_MESSAGE = 2000
# Longer ones are a client's words, which a gateway took over as the request's id.
_LONGEST_ID = 256
# A record that does not say when it was is of a minute before or after it came.
_ARRIVAL_RESOLUTION_NS = 120 * NS_PER_S


def decode_envelope(envelope: Envelope) -> DecodeResult:
    """
    Decode an envelope's bytes for its signal.

    Raises:
        UnsupportedFormat: no decoder reads this format for this signal. Never retried.
        UnknownDoor: no such gateway adapter. Never retried.
        Undecodable: the bytes are not what they are said to be. Never retried.
    """
    if envelope.format == "gateway":
        decoded = get_adapter(envelope.adapter).decode(envelope.body)
        return canonicalise_records(decoded, envelope.received_ns)
    result = _get_decoder(envelope.format, envelope.signal)(envelope.body, envelope.received_ns)
    if envelope.signal is not Stream.LOG:
        return result
    told = [record for message in result.messages for record in find_records(message)]
    if not told:
        return result
    return replace(
        result, records=canonicalise_records(Decoded(told), envelope.received_ns).messages
    )


def give_time_of_arrival(record: GatewayRecord, received_ns: int) -> bool:
    """Let a record without a time begin when it came, marked as such; tell whether it had none."""
    if record.start_ns:
        return False
    record.start_ns = received_ns
    record.resolution_ns = max(record.resolution_ns, _ARRIVAL_RESOLUTION_NS)
    record.quality = (*record.quality, TIME_OF_ARRIVAL)
    return True


def canonicalise_records(decoded: Decoded, received_ns: int) -> DecodeResult:
    """
    Encode what an adapter read, without the records whose time is impossible.

    Index of a record refused here: its place among all records of the body, as far as the adapter
    gave the places of those that it refused itself.
    """
    taken = {error.index for error in (*decoded.rejected, *decoded.ignored)}
    free = (index for index in range(len(taken) + len(decoded.records)) if index not in taken)
    kept: list[GatewayRecord] = []
    errors = list(decoded.rejected)
    timeless = 0
    for index, record in zip(free, decoded.records, strict=False):
        timeless += give_time_of_arrival(record, received_ns)
        if record.start_ns < MIN_TIME_NS:
            errors.append(RecordError(index, "it began before 2000", "start_ns", "start_past"))
        elif record.start_ns > received_ns + MAX_AHEAD_NS:
            errors.append(
                RecordError(index, "it begins over a day from now", "start_ns", "start_future")
            )
        else:
            if len(record.record_id) > _LONGEST_ID:
                record.record_id = derive_record_id(record.record_id)
            if record.start_ns + (record.duration_ns or 0) > received_ns:
                record.quality = check_clock(record, received_ns)
            kept.append(record)
    messages = [
        encode_records(kept[at : at + _RECORDS_PER_MESSAGE])
        for at in range(0, len(kept), _RECORDS_PER_MESSAGE)
    ]
    return DecodeResult(
        message=messages[0] if messages else b"",
        others=tuple(messages[1:]),
        accepted=len(kept),
        rejected=len(errors),
        errors=(*sorted(errors, key=lambda error: error.index), *_tell_ignored(decoded)),
        rejected_by=Counter(error.code for error in errors),
        ignored_by=Counter(each.code for each in decoded.ignored),
        repaired=decoded.repaired,
        is_timeless=timeless > 0,
        without_id=sum(record.record_id.startswith("~") for record in kept),
    )


def _tell_ignored(decoded: Decoded) -> Iterator[RecordError]:
    """One entry a kind of reason, at the place of the first: a log may be mostly events."""
    counts = Counter(each.reason for each in decoded.ignored)
    for each in decoded.ignored:
        if count := counts.pop(each.reason, 0):
            times = f" ({count} of these)" if count > 1 else ""
            yield RecordError(each.index, f"ignored: {each.reason}{times}", code=each.code)


@cache
def _get_decoder(name: str, signal: Stream) -> _Decoder:
    try:
        module, _, function = _DECODERS[name, signal].rpartition(".")
    except KeyError:
        raise UnsupportedFormat(f"no decoder for {name} {signal}") from None
    decoder: _Decoder = getattr(import_module(f"collector.decode.{module}"), function)
    return decoder
