"""Hopline itself, from its own metrics."""

from grafana_foundation_sdk.builders import dashboard as builders

from dashboards import parts
from dashboards.parts import PROMETHEUS, lines, number, promql, rising

_RATE = "$__rate_interval"


def build() -> builders.Dashboard:
    """Return the dashboard."""
    board = parts.board(
        "itself",
        "Hopline itself",
        "Whether it takes in, keeps, loads and answers. Every process shows the metrics of all.",
    )
    board.variables([parts.prometheus_variable()])

    def one(
        title: str, description: str, unit: str, expression: str, orange: float, red: float
    ) -> None:
        board.with_panel(
            number(
                title, description, unit, promql(expression, title), rising(orange, red), PROMETHEUS
            )
        )

    def over_time(title: str, description: str, unit: str, *queries: tuple[str, str]) -> None:
        targets = [promql(text, legend, "ABCD"[at]) for at, (text, legend) in enumerate(queries)]
        board.with_panel(lines(title, description, unit, *targets, source=PROMETHEUS))

    one(
        "Waiting in the journal",
        "Bytes that are durable and not loaded yet. It grows while the store stands still.",
        "bytes",
        "sum(hopline_journal_pending_bytes)",
        5e8,
        2e9,
    )
    one(
        "Dead letters",
        "Messages that the store refuses for good, in the last day: read journal/dead-letter.",
        "short",
        "sum(increase(hopline_store_messages_dead_letter_total[1d])) or vector(0)",
        1,
        100,
    )
    one(
        "Late sources",
        "Seconds that the latest polled source is behind.",
        "s",
        "max(hopline_pull_lag_seconds) or vector(0)",
        900,
        3600,
    )
    over_time(
        "Accepted",
        "Records that are durable, per second, by door and stream.",
        "cps",
        (
            f"sum by (door, stream) (rate(hopline_intake_records_accepted_total[{_RATE}]))",
            "{{door}} {{stream}}",
        ),
    )
    over_time(
        "Refused and rejected",
        "Whole requests refused and single records rejected, per second, by reason.",
        "cps",
        (
            f"sum by (reason) (rate(hopline_intake_envelopes_refused_total[{_RATE}]))",
            "refused: {{reason}}",
        ),
        (
            f"sum by (reason) (rate(hopline_intake_records_rejected_total[{_RATE}]))",
            "rejected: {{reason}}",
        ),
    )
    over_time(
        "Time to acknowledge",
        "99 of 100 requests of senders are acknowledged sooner, by door.",
        "s",
        (
            "histogram_quantile(0.99, sum by (le, door)"
            f" (rate(hopline_intake_acknowledge_seconds_bucket[{_RATE}])))",
            "{{door}}",
        ),
    )
    over_time(
        "Time to load",
        "99 of 100 segments are loaded in less, by stream.",
        "s",
        (
            "histogram_quantile(0.99, sum by (le, stream)"
            f" (rate(hopline_store_load_seconds_bucket[{_RATE}])))",
            "{{stream}}",
        ),
    )
    over_time(
        "Journal and disk",
        "Bytes that wait to be loaded, and bytes free on the disk.",
        "bytes",
        ("sum by (instance) (hopline_journal_pending_bytes)", "waiting {{instance}}"),
        ("min by (instance) (hopline_journal_disk_free_bytes)", "free {{instance}}"),
    )
    over_time(
        "Loads tried again",
        "Loads that failed and are tried again, per second, by reason.",
        "cps",
        (f"sum by (reason) (rate(hopline_store_load_retries_total[{_RATE}]))", "{{reason}}"),
    )
    over_time(
        "Polled sources",
        "Seconds behind now, and failures per second.",
        "s",
        ("max by (source) (hopline_pull_lag_seconds)", "behind: {{source}}"),
        (
            f"sum by (source, reason) (rate(hopline_pull_failures_total[{_RATE}]))",
            "failed: {{source}} {{reason}}",
        ),
    )
    over_time(
        "Time to answer",
        "95 of 100 answers of the query API come sooner, by route.",
        "s",
        (
            "histogram_quantile(0.95, sum by (le, route)"
            f" (rate(hopline_api_request_seconds_bucket[{_RATE}])))",
            "{{route}}",
        ),
    )
    over_time(
        "Memory",
        "Resident memory by process.",
        "bytes",
        ("max by (instance, process) (process_resident_memory_bytes)", "{{instance}} {{process}}"),
    )
    over_time(
        "CPU",
        "Cores in use by process.",
        "short",
        (
            f"max by (instance, process) (rate(process_cpu_seconds_total[{_RATE}]))",
            "{{instance}} {{process}}",
        ),
    )
    return board
