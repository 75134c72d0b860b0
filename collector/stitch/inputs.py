"""
What the rules are given: the rows that may belong to one request, and what is known around them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from collector.decode.records.from_spans import ServiceRule
from collector.model import GatewayRecord, LogRecord, Span
from collector.stitch.completeness import SourceLags
from collector.stitch.join.likely import LikelyPair
from collector.stitch.time.placement import NO_OFFSETS, ClockOffsets

Findings = Literal["none", "of_tree", "all"]
"""None, those of rules that need the tree, which is gone with the stitching, or those of all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StitchInputs:
    """
    Everything that one timeline is made of; `now_ns` alone has to be given.

    `records` are all stored versions of the records that may belong to the request, `spans` all
    spans of the traces that may, `logs` their access logs, which stand in where no span arrived.
    `now_ns` is the moment at which the question is asked, `subject` the id that was asked for, of a
    record, a trace or a span ("" for the first). `lags` tells how late the sources are and which of
    them should know this request, `offsets` what other requests taught of the hosts' clocks,
    `likely` the pairs that `join_without_ids` found, taken where no id decides.
    `population` is how many traces could share a 64-bit id by chance (0: those at hand).
    `gateway_services` are services whose spans are a gateway's, beside those known by themselves.
    `is_raw` shows every start as its sender wrote it, and changes neither phases nor path;
    `findings` says which of the doctor's rules are asked too: they change nothing else.
    """

    now_ns: int
    records: Sequence[GatewayRecord] = ()
    spans: Sequence[Span] = ()
    logs: Sequence[LogRecord] = ()
    subject: str = ""
    lags: SourceLags = field(default_factory=SourceLags)
    offsets: ClockOffsets = NO_OFFSETS
    likely: Sequence[LikelyPair] = ()
    population: int = 0
    gateway_services: Sequence[ServiceRule] = ()
    is_raw: bool = False
    findings: Findings = "all"
