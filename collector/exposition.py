"""
A page of metrics in the forms that scrapers ask for, and the buckets of native histograms.

Native histograms exist in the protobuf form only: who asks for text gets the classic buckets.

Source: Prometheus text format 0.0.4; OpenMetrics 1.0; Prometheus specification "Native Histograms",
io.prometheus.client.MetricFamily (client_model); RFC 9110 section 12.5.1 (Accept).
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from math import frexp, inf, isfinite

from prometheus_client.metrics_core import Metric
from prometheus_client.samples import BucketSpan, Exemplar, NativeHistogram, Sample

from collector.wire import prometheus_pb2 as wire
from collector.wire.varint import encode_varint

TEXT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"
PROTOBUF_TYPE = (
    "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
)
# Each bucket ends 2 ** (1 / 8) times, 9 %, above where it begins.
_SCHEMA = 3
_PER_OCTAVE = 2**_SCHEMA
# Where buckets end between 0.5 and 1.
_ENDS = [0.5 * 2 ** (number / _PER_OCTAVE) for number in range(_PER_OCTAVE)]
# Below a microsecond is zero; what takes longer than 12 days is in the last bucket. Between them
# are 320 buckets, of which a series sends those that hold something.
_ZERO_THRESHOLD = 2.0**-20
_LAST = 20 * _PER_OCTAVE


class NativeBuckets:
    """The counts of one native histogram. Not thread-safe."""

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}
        self._zeros = 0

    def add(self, value: float, times: int) -> None:
        """Count *value*, not negative, *times* over."""
        if value <= _ZERO_THRESHOLD:
            self._zeros += times
            return
        fraction, exponent = frexp(value)
        number = min(bisect_left(_ENDS, fraction) + (exponent - 1) * _PER_OCTAVE, _LAST)
        self._counts[number] = self._counts.get(number, 0) + times

    def as_histogram(self, sum_: float) -> NativeHistogram:
        """Return what was counted, with the *sum_* of the values."""
        spans: list[BucketSpan] = []
        deltas: list[int] = []
        before, after = 0, 0
        for number, count in sorted(self._counts.items()):
            if spans and number == after:
                spans[-1] = BucketSpan(spans[-1].offset, spans[-1].length + 1)
            else:
                spans.append(BucketSpan(number - after, 1))
            deltas.append(count - before)
            before, after = count, number + 1
        total = self._zeros + sum(self._counts.values())
        return NativeHistogram(
            total, sum_, _SCHEMA, _ZERO_THRESHOLD, self._zeros, pos_spans=spans, pos_deltas=deltas
        )


def expose(families: Iterable[Metric], accept: str) -> tuple[bytes, str]:
    """Return *families* in the form that the header *accept* likes best, and its content type."""
    chosen = _choose(accept)
    if chosen == PROTOBUF_TYPE:
        return b"".join(_messages(families)), chosen
    lines = _openmetrics_lines if chosen == OPENMETRICS_TYPE else _text_lines
    return "".join(lines(families)).encode(), chosen


def _choose(accept: str) -> str:
    """Return the content type of ours with the highest weight, the first of equals; else text."""
    best, chosen = 0.0, TEXT_TYPE
    for each in accept.lower().replace('"', "").split(","):
        kind, *parameters = (part.strip() for part in each.split(";"))
        given = dict(part.partition("=")[::2] for part in parameters)
        try:
            weight = float(given.get("q", 1))
        except ValueError:
            continue
        if weight > best and (form := _form(kind, given)):
            best, chosen = weight, form
    return chosen


def _form(kind: str, parameters: Mapping[str, str]) -> str:
    if kind == "application/vnd.google.protobuf":
        wanted = ("io.prometheus.client.metricfamily", "delimited")
        is_ours = (parameters.get("proto"), parameters.get("encoding")) == wanted
        return PROTOBUF_TYPE if is_ours else ""
    of_kind = {"application/openmetrics-text": OPENMETRICS_TYPE, "text/plain": TEXT_TYPE}
    return of_kind.get(kind, "")


def _messages(families: Iterable[Metric]) -> Iterator[bytes]:
    for each in families:
        name, kind = _named(each)
        family = wire.MetricFamily(name=name, help=each.documentation, type=kind.upper())
        for labels, samples in groupby(each.samples, _labels):
            metric = family.metric.add(label=_pairs(dict(labels)))
            _fill(metric, kind, list(samples))
        message = family.SerializeToString()
        yield encode_varint(len(message)) + message


def _labels(sample: Sample) -> list[tuple[str, str]]:
    return sorted(each for each in sample.labels.items() if each[0] != "le")


def _pairs(labels: Mapping[str, str]) -> list[wire.LabelPair]:
    return [wire.LabelPair(name=name, value=value) for name, value in labels.items()]


def _fill(metric: wire.Metric, kind: str, samples: list[Sample]) -> None:
    if kind == "histogram":
        _fill_histogram(metric.histogram, samples)
    elif kind == "counter":
        metric.counter.value = samples[0].value
    else:
        number = metric.gauge if kind == "gauge" else metric.untyped
        number.value = samples[0].value


def _fill_histogram(histogram: wire.Histogram, samples: list[Sample]) -> None:
    exemplars = []
    for each in samples:
        if "le" in each.labels:
            bucket = histogram.bucket.add(
                cumulative_count=int(each.value), upper_bound=float(each.labels["le"])
            )
            if each.exemplar:
                exemplars.append(_exemplar(each.exemplar))
                bucket.exemplar.CopyFrom(exemplars[-1])
        elif each.native_histogram is not None:
            native = each.native_histogram
            histogram.schema, histogram.zero_threshold = native.schema, native.zero_threshold
            histogram.zero_count = int(native.zero_count)
            for offset, length in native.pos_spans or ():
                histogram.positive_span.add(offset=offset, length=length)
            histogram.positive_delta.extend(native.pos_deltas or ())
        elif each.name.endswith("_sum"):
            histogram.sample_sum = each.value
        else:
            histogram.sample_count = int(each.value)
    histogram.exemplars.extend(sorted(exemplars, key=lambda known: known.timestamp.ToNanoseconds()))


def _exemplar(known: Exemplar) -> wire.Exemplar:
    exemplar = wire.Exemplar(label=_pairs(known.labels), value=known.value)
    exemplar.timestamp.FromMilliseconds(int(float(known.timestamp or 0) * 1000))
    return exemplar


def _named(family: Metric) -> tuple[str, str]:
    """Return the name and the type that a family has in the older text and in protobuf."""
    kind = {"info": "gauge", "unknown": "untyped"}.get(family.type, family.type)
    return f"{family.name}_total" if kind == "counter" else family.name, kind


def _text_lines(families: Iterable[Metric]) -> Iterator[str]:
    for each in families:
        name, kind = _named(each)
        yield f"# HELP {name} {_escaped(each.documentation)}\n# TYPE {name} {kind}\n"
        for sample in _plain(each):
            yield f"{sample.name}{_braces(sample.labels)} {_number(sample.value)}\n"


def _openmetrics_lines(families: Iterable[Metric]) -> Iterator[str]:
    for each in families:
        meaning = _escaped(each.documentation, quotes=True)
        yield f"# HELP {each.name} {meaning}\n# TYPE {each.name} {each.type}\n"
        for sample in _plain(each):
            line = f"{sample.name}{_braces(sample.labels)} {_number(sample.value)}"
            if sample.exemplar:
                known = sample.exemplar
                line += f" # {_braces(known.labels)} {_number(known.value)} {known.timestamp or ''}"
            yield line.rstrip() + "\n"
    yield "# EOF\n"


def _plain(family: Metric) -> Iterable[Sample]:
    return (each for each in family.samples if each.native_histogram is None)


def _number(value: float) -> str:
    """Write a value with all of its digits: the client writes 10 000 001 as 1.0000001e+07."""
    if not isfinite(value):
        return {inf: "+Inf", -inf: "-Inf"}.get(value, "NaN")
    return str(int(value)) if value == int(value) else repr(value)


def _braces(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    quoted = (f'{name}="{_escaped(value, quotes=True)}"' for name, value in sorted(labels.items()))
    return "{" + ",".join(quoted) + "}"


def _escaped(text: str, *, quotes: bool = False) -> str:
    text = text.replace("\\", r"\\").replace("\n", r"\n")
    return text.replace('"', r"\"") if quotes else text
