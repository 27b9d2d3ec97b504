"""Which authorities' certificates are believed, where nobody says otherwise."""

from __future__ import annotations

from pathlib import Path

# Where systems keep them.
_BUNDLES = (
    Path("/etc/ssl/certs/ca-certificates.crt"),  # Debian, Ubuntu, Arch, Alpine
    Path("/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem"),  # Fedora, RHEL
    Path("/etc/ssl/ca-bundle.pem"),  # SUSE
    Path("/etc/ssl/cert.pem"),
)


def bundle() -> Path | None:
    """Return the system's file of authorities, PEM; None if there is none known."""
    return next(filter(Path.is_file, _BUNDLES), None)
