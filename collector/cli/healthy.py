"""
`python -m collector.cli.healthy`: a container's health check, where a command is run for it.

Exit status 0 when each port of this service that answers is ready, and at least one does. Which of
the two ports is served depends on the role, which a health check is not told.
"""

import ssl
import sys
import urllib.error
import urllib.request

from collector.config import Settings, load_settings
from collector.settings import TlsSettings

_TIMEOUT_S = 4.0
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 - read, not bound


def main() -> int:
    """Ask the ports of the settings in force; print what is wrong."""
    settings = load_settings()
    context = _client_context(settings.tls()) if settings.tls_cert else None
    answers = {url: _ask(url, context) for url in ready_urls(settings)}
    for url, answer in answers.items():
        if answer != "ok":
            sys.stderr.write(f"{url}: {answer}\n")
    heard = [answer for answer in answers.values() if not answer.startswith("no answer")]
    return 0 if heard and set(heard) == {"ok"} else 1


def ready_urls(settings: Settings) -> list[str]:
    """Return the addresses that tell whether this service is ready."""
    host = _EVERYWHERE.get(settings.bind, settings.bind)
    ports = (settings.ingest_port, settings.api_port)
    scheme = "https" if settings.tls_cert else "http"
    return [f"{scheme}://{host}:{port}/readyz" for port in ports if port]


def _client_context(tls: TlsSettings) -> ssl.SSLContext:
    """Trust this machine's own port, and show its own certificate where it asks for one."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if tls.client_authority and tls.certificate:
        context.load_cert_chain(tls.certificate, tls.key)
    return context


def _ask(url: str, context: ssl.SSLContext | None) -> str:
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_S, context=context):  # noqa: S310 - our own address
            return "ok"
    except urllib.error.HTTPError as exc:
        return f"not ready: {exc.read(500).decode(errors='replace')}"
    except OSError as exc:
        return f"no answer: {exc}"


if __name__ == "__main__":
    sys.exit(main())
