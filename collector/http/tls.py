"""
TLS of every TCP port: one certificate, read again when its file changes.

With an authority for clients (mTLS) nobody connects without a certificate of it. A file that
cannot be read leaves the certificate before it in place, and says so in the log: cert-manager and
certbot replace the two files one after the other.
"""

import logging
import ssl
from typing import Any, cast

import grpc

from collector.errors import ConfigError
from collector.http.stamps import stamp_of
from collector.settings import TlsSettings

_log = logging.getLogger(__name__)


class Certificate:
    """
    The certificate, its key and the authority of clients, as of their last change.

    An authority that is replaced is known beside the one before until the next start: OpenSSL's
    store of them grows only.
    """

    def __init__(self, settings: TlsSettings) -> None:
        self._settings = settings
        self._seen = self._stamp()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.context.set_alpn_protocols(["http/1.1"])
        if settings.client_authority:
            self.context.verify_mode = ssl.CERT_REQUIRED
        try:
            self._load()
        except (OSError, ssl.SSLError) as exc:
            raise ConfigError(
                f"the TLS files cannot be used: {exc}",
                hint="HOPLINE_TLS_CERT and HOPLINE_TLS_KEY are PEM files that belong together",
            ) from exc

    def refresh(self) -> bool:
        """Load the files again if one has changed; connections that are open keep theirs."""
        stamp = self._stamp()
        if stamp == self._seen:
            return False
        self._seen = stamp
        try:
            self._load()
        except (OSError, ssl.SSLError) as exc:
            _log.warning("the TLS certificate has changed and cannot be used yet: %s", exc)
            return False
        _log.info("the TLS certificate was reloaded")
        return True

    def grpc_configuration(self) -> grpc.ServerCertificateConfiguration:
        """Return the files as gRPC takes them."""
        settings = self._settings
        assert settings.certificate is not None and settings.key is not None
        authority = settings.client_authority
        return grpc.ssl_server_certificate_configuration(
            [(settings.key.read_bytes(), settings.certificate.read_bytes())],
            authority.read_bytes() if authority else None,
        )

    def grpc_credentials(self) -> grpc.ServerCredentials:
        """Return credentials that look at the files again with each connection."""
        known = self.grpc_configuration()

        def fetch() -> grpc.ServerCertificateConfiguration | None:
            return self.grpc_configuration() if self.refresh() else None

        return grpc.dynamic_ssl_server_credentials(
            # the type stubs leave out that None means: no change
            known,
            cast(Any, fetch),
            require_client_authentication=bool(self._settings.client_authority),
        )

    def _load(self) -> None:
        settings = self._settings
        assert settings.certificate is not None and settings.key is not None
        # tried on a context of its own: half a pair must not replace a good one
        trial = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        trial.load_cert_chain(settings.certificate, settings.key)
        if settings.client_authority:
            self.context.load_verify_locations(settings.client_authority)
        self.context.load_cert_chain(settings.certificate, settings.key)

    def _stamp(self) -> tuple[tuple[int, int] | None, ...]:
        settings = self._settings
        files = (settings.certificate, settings.key, settings.client_authority)
        return tuple(stamp_of(path) for path in files if path is not None)


def open_certificate(settings: TlsSettings) -> Certificate | None:
    """Return the certificate of the settings; None when TLS is off. Raises `ConfigError`."""
    return Certificate(settings) if settings.certificate else None
