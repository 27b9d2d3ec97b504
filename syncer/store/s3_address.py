"""Where an object store is, and how it is reached."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from syncer.errors import ConfigError
from syncer.model.blobs import blob_key
from syncer.store.signing import Place, encoded_path, encoded_query
from syncer.trust import bundle

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from urllib.parse import SplitResult

    from syncer.credentials import Secret


@dataclass(frozen=True, slots=True)
class S3Address:
    """A bucket, and a prefix in it; `endpoint` None is AWS itself.

    `ca` is the authority of the endpoint's certificate; without `keys` boto3
    looks for some where it always does.
    """

    bucket: str
    prefix: str = ""
    endpoint: str | None = None
    region: str = "us-east-1"
    ca: Path | None = None
    keys: tuple[Secret, Secret] | None = field(default=None, repr=False)
    #: The address that consumers reach it by, for presigned URLs.
    public_endpoint: str | None = None

    @property
    def origin(self) -> str:
        """The address that requests go to."""
        if self.endpoint is not None:
            return self.endpoint
        china = ".cn" if self.region.startswith("cn-") else ""
        return f"https://s3.{self.region}.amazonaws.com{china}"

    def key(self, digest: str) -> str:
        """Return where a blob lies."""
        return f"{self.prefix}{blob_key(digest)}"

    def staging_key(self, digest: str) -> str:
        """Return where a large blob is put together."""
        return f"{self.prefix}incoming/{digest}"

    def digest_staged(self, key: str) -> str | None:
        """Return the digest of a key below `incoming/`, None for another key."""
        start = f"{self.prefix}incoming/"
        return key.removeprefix(start) if key.startswith(start) else None

    def place(
        self, key: str, query: Iterable[tuple[str, str]] = (), *, public: bool = False
    ) -> Place:
        """Return where a request for a key goes; the bucket itself for no key."""
        origin = self.public_endpoint if public else None
        parts = _parted(origin or self.origin)
        path = f"{parts.path.rstrip('/')}/{self.bucket}" + (f"/{key}" if key else "")
        return Place(_host_header(parts), encoded_path(path), encoded_query(query))

    def bundle(self) -> Path | None:
        """Return the file of the authorities to trust; None: as Python was built."""
        # One file for both of our clients, so that they trust the same: botocore
        # would bring one of its own.
        return self.ca or bundle()

    def trust(self) -> ssl.SSLContext:
        """Return what certificates are checked with.

        Raises:
            ConfigError: the file of the authority cannot be read.
        """
        bundle = self.bundle()
        try:
            context = ssl.create_default_context(cafile=bundle)
        except OSError as exc:
            msg = f"the certificate authority {bundle} cannot be read: {exc}"
            raise ConfigError(msg) from exc
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context


@lru_cache(maxsize=8)
def _parted(origin: str) -> SplitResult:
    return urlsplit(origin)


def _host_header(parts: SplitResult) -> str:
    """Return the Host header (RFC 9110 7.2); a default port is not in it."""
    default = {"https": 443, "http": 80}.get(parts.scheme)
    host, port = parts.hostname or "", parts.port
    name = f"[{host}]" if ":" in host else host
    return name if port in {None, default} else f"{name}:{port}"
