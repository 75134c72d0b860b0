"""
Who asks, and which rows they may see.

The one place where rows are kept apart: a principal's filters are conditions by table, and the
engine puts them on every read of that table, in views and subqueries as well.

Source: ClickHouse documentation, `additional_table_filters`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from collector.errors import Unauthenticated
from collector.http.tokens import Tokens
from collector.store.sql import SqlFailure


@dataclass(frozen=True, slots=True)
class Principal:
    """
    One who may ask, by the name of the token.

    `row_filters`: by `database.table`, the condition that its rows meet.
    """

    name: str = ""
    row_filters: Mapping[str, str] = field(default_factory=dict)


class Principals:
    """The tokens that may read. None: everyone may."""

    def __init__(self, tokens: Sequence[str], file: Path | None = None) -> None:
        self._tokens = Tokens(tokens, "HOPLINE_QUERY_TOKENS", file)

    def find(self, credentials: Sequence[str]) -> Principal:
        """
        Return who has one of *credentials*.

        Raises:
            SqlFailure: nobody has.
        """
        if not self._tokens.are_needed:
            return Principal()
        for credential in credentials:
            try:
                return Principal(self._tokens.check(credential))
            except Unauthenticated:
                continue
        if not credentials:
            raise SqlFailure(
                194,
                "A token is needed, as password or Bearer: of HOPLINE_QUERY_TOKENS, or with scope "
                "read of HOPLINE_TOKENS_FILE",
            )
        raise SqlFailure(
            516, "Authentication failed: password is incorrect, or there is no user with such name"
        )
