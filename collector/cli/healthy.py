"""
`python -m collector.cli.healthy`: a container's health check, where a command is run for it.

Exit status 0 when each port of this service that answers is ready, and at least one does. Which of
the two ports is served depends on the role, which a health check is not told.
"""

import sys
import urllib.error
import urllib.request

from collector.config import Settings, load_settings

_TIMEOUT_S = 4.0
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 - read, not bound


def main() -> int:
    """Ask the ports of the settings in force; print what is wrong."""
    answers = {url: _ask(url) for url in ready_urls(load_settings())}
    for url, answer in answers.items():
        if answer != "ok":
            sys.stderr.write(f"{url}: {answer}\n")
    heard = [answer for answer in answers.values() if not answer.startswith("no answer")]
    return 0 if heard and set(heard) == {"ok"} else 1


def ready_urls(settings: Settings) -> list[str]:
    """Return the addresses that tell whether this service is ready."""
    host = _EVERYWHERE.get(settings.bind, settings.bind)
    ports = (settings.ingest_port, settings.api_port)
    return [f"http://{host}:{port}/readyz" for port in ports if port]


def _ask(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_S):  # noqa: S310 - our own http address
            return "ok"
    except urllib.error.HTTPError as exc:
        return f"not ready: {exc.read(500).decode(errors='replace')}"
    except OSError as exc:
        return f"no answer: {exc}"


if __name__ == "__main__":
    sys.exit(main())
