"""
Formats and settings that a statement may ask for, and how much of what it asks for it gets.

Source: ClickHouse documentation, "Session settings" and "Input and output formats".
"""

import os
import re
from collections.abc import Mapping

from collector.store.sql import MAX_RESULT_BYTES, MAX_RESULT_ROWS, SqlFailure

_TEXT, _CSV, _TSV = "text/plain", "text/csv", "text/tab-separated-values"
_JSON, _LINES, _BYTES = "application/json", "application/x-ndjson", "application/octet-stream"
# Those that need no schema, template or file of the server. The types are ClickHouse's own.
_FORMATS = {
    "Arrow": _BYTES,
    "ArrowStream": _BYTES,
    "CSV": f"{_CSV}; charset=UTF-8; header=absent",
    "CSVWithNames": f"{_CSV}; charset=UTF-8; header=present",
    "CSVWithNamesAndTypes": f"{_CSV}; charset=UTF-8; header=present",
    "JSON": _JSON,
    "JSONColumns": _JSON,
    "JSONColumnsWithMetadata": _JSON,
    "JSONCompact": _JSON,
    "JSONCompactColumns": _JSON,
    "JSONCompactEachRow": _LINES,
    "JSONCompactEachRowWithNames": _LINES,
    "JSONCompactEachRowWithNamesAndTypes": _LINES,
    "JSONCompactStrings": _JSON,
    "JSONCompactStringsEachRow": _LINES,
    "JSONCompactStringsEachRowWithNames": _LINES,
    "JSONCompactStringsEachRowWithNamesAndTypes": _LINES,
    "JSONEachRow": _LINES,
    "JSONLines": _LINES,
    "JSONObjectEachRow": _JSON,
    "JSONStrings": _JSON,
    "JSONStringsEachRow": _LINES,
    "Markdown": _TEXT,
    "Native": _BYTES,
    "NDJSON": _LINES,
    "Null": _TEXT,
    "Parquet": _BYTES,
    "Pretty": _TEXT,
    "PrettyCompact": _TEXT,
    "PrettyCompactMonoBlock": _TEXT,
    "PrettyCompactNoEscapes": _TEXT,
    "PrettyNoEscapes": _TEXT,
    "PrettySpace": _TEXT,
    "RowBinary": _BYTES,
    "RowBinaryWithNames": _BYTES,
    "RowBinaryWithNamesAndTypes": _BYTES,
    "TabSeparated": _TSV,
    "TabSeparatedRaw": _TSV,
    "TabSeparatedRawWithNames": _TSV,
    "TabSeparatedWithNames": _TSV,
    "TabSeparatedWithNamesAndTypes": _TSV,
    "TSKV": _TSV,
    "TSV": _TSV,
    "TSVRaw": _TSV,
    "TSVRawWithNames": _TSV,
    "TSVWithNames": _TSV,
    "TSVWithNamesAndTypes": _TSV,
    "Values": _TEXT,
    "Vertical": _TEXT,
    "XML": "application/xml",
}
_WHOLE = re.compile(r"\d{1,19}", re.ASCII)
_DECIMAL = re.compile(r"\d{1,19}(?:\.\d{0,9})?", re.ASCII)
_WORD = re.compile(r"[\w/+:. -]{0,64}", re.ASCII)
# Settings that are numbers a client may lower, never raise; 0 means "no limit" to ClickHouse.
_MOST = {
    "max_result_rows": MAX_RESULT_ROWS,
    "max_result_bytes": MAX_RESULT_BYTES,
    "max_block_size": 1_048_576,
    "max_threads": os.cpu_count() or 1,
    "max_rows_to_read": 2**63,
    "max_bytes_to_read": 2**63,
}
# Settings that say how an answer is shown or what a name or a null means. Any word will do.
_WORDS = frozenset({
    "asterisk_include_alias_columns", "asterisk_include_materialized_columns",
    "cast_keep_nullable", "cast_string_to_dynamic_use_inference", "date_time_input_format",
    "date_time_output_format",
    "extremes", "final", "format_csv_delimiter", "format_csv_null_representation",
    "format_tsv_null_representation", "group_by_overflow_mode", "group_by_use_nulls",
    "interval_output_format", "join_use_nulls", "limit", "offset",
    "output_format_arrow_string_as_string", "output_format_binary_write_json_as_string",
    "output_format_json_array_of_rows", "output_format_json_escape_forward_slashes",
    "output_format_json_named_tuples_as_objects", "output_format_json_quote_64bit_floats",
    "output_format_json_quote_64bit_integers", "output_format_json_quote_decimals",
    "output_format_json_quote_denormals", "output_format_native_write_json_as_string",
    "output_format_parquet_string_as_string", "output_format_pretty_color",
    "output_format_pretty_max_rows", "output_format_pretty_row_numbers",
    "output_format_write_statistics", "prefer_column_name_to_alias", "result_overflow_mode",
    "session_timezone", "totals_mode", "transform_null_in", "union_default_mode",
})  # fmt: skip
# Sent by clients as a matter of course; they mean nothing to a statement that only reads here.
_IGNORED = frozenset({
    "cancel_http_readonly_queries_on_client_close", "readonly", "max_memory_usage", "log_queries",
    "use_query_cache", "priority",
    "send_timeout", "receive_timeout", "wait_end_of_query", "send_progress_in_http_headers",
    "http_headers_progress_interval_ms", "http_zlib_compression_level", "log_comment",
    "output_format_parallel_formatting", "buffer_size", "max_query_size",
})  # fmt: skip


def check_format(name: str) -> str:
    """
    Return the content type of a format.

    Raises:
        SqlFailure: nothing is answered in it.
    """
    if name not in _FORMATS:
        raise SqlFailure(73, f"The format {name[:64]} is not served")
    return _FORMATS[name]


def clamp_settings(asked: Mapping[str, str], most_s: float) -> dict[str, str]:
    """
    Return the settings that a statement gets: what it asks for, within limits.

    Raises:
        SqlFailure: a setting that may not be set, or a value that it cannot have.
    """
    given: dict[str, str] = {}
    for name, value in asked.items():
        if name == "max_execution_time":
            seconds = _seconds(value, most_s)
            if seconds < most_s:  # else it is what every statement has
                given[name] = f"{seconds:g}"
        elif name in _MOST:
            given[name] = _least(name, value)
        elif name in _WORDS:
            if not (_WORD.fullmatch(value) or (name == "format_csv_delimiter" and len(value) == 1)):
                raise _wrong(name)
            given[name] = value
        elif name not in _IGNORED:
            raise SqlFailure(164, f"Cannot modify '{name[:64]}' setting here")
    return given


def _least(name: str, value: str) -> str:
    if not _WHOLE.fullmatch(value):
        raise _wrong(name)
    wanted = int(value)
    return str(min(wanted, _MOST[name]) if wanted else _MOST[name])


def _seconds(value: str, most_s: float) -> float:
    if not _DECIMAL.fullmatch(value):
        raise _wrong("max_execution_time")
    return min(float(value) or most_s, most_s)


def _wrong(name: str) -> SqlFailure:
    return SqlFailure(72, f"The setting {name} cannot have this value")
