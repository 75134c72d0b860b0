"""
The log of who read what.
"""

import json
import logging

from collector.decode.redaction.findings import Findings
from collector.decode.redaction.secrets import Secrets

_LOG = logging.getLogger("collector.audit")
_MAX_CHARACTERS = 4_000


class Audit:
    """Logs reads, without secrets and without signs that a reader of the log would obey."""

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets

    def log_read(
        self, who: str, method: str, path: str, asked: str, status: int, *, tenant: str = ""
    ) -> None:
        """Log one read: *asked* is the query of an address or a statement, *who* may be nobody."""
        fields = {
            "who": who or "(nobody)",
            "method": method,
            "path": self._secrets.mask_text(path[:_MAX_CHARACTERS], Findings()),
            "query": self._secrets.mask_text(asked[:_MAX_CHARACTERS], Findings(), "query"),
            "status": status,
        } | ({"tenant": tenant} if tenant else {})
        _LOG.info("read: %s", json.dumps(fields), extra=fields)
