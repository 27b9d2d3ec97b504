"""The three S3 servers that tests run, how each is started, and how they differ.

What a kind says of itself here is tested in `tests/integration`: other tests
build upon it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.servers import programs

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Place:
    """Where a server runs, and for whom."""

    #: `directory/data` holds the buckets; the rest is the server's own.
    directory: Path
    port: int
    access_key: str
    secret_key: str
    #: Holds `public.crt` and `private.key`; None for plain HTTP.
    certificates: Path | None

    @property
    def address(self) -> str:
        """What the server listens on."""
        return f"127.0.0.1:{self.port}"

    @property
    def data(self) -> Path:
        """Where the buckets are."""
        return self.directory / "data"

    def tls(self, certificate: str, key: str) -> list[str]:
        """Return the options, by their names, that switch TLS on."""
        if self.certificates is None:
            return []
        public = str(self.certificates / "public.crt")
        return [certificate, public, key, str(self.certificates / "private.key")]


@dataclass(frozen=True, slots=True)
class Kind:
    """One S3 server, and what it does with requests that ask to be refused."""

    name: str
    #: The program and its arguments.
    command: Callable[[Place], list[str]]
    #: What else it finds in its environment.
    environment: Callable[[Place], dict[str, str]]
    #: A body whose `x-amz-checksum-sha256` is another's is not stored.
    checks_bodies: bool = True
    #: `If-None-Match: *` keeps a second put or complete from replacing an object.
    conditional: bool = True
    #: Uploads under way are listed by any prefix; else by an exact key alone.
    lists_uploads: bool = True
    #: The connection is used again; else each answer ends it.
    keeps_alive: bool = True


def _minio(place: Place) -> list[str]:
    command = [str(programs.MINIO.find()), "server", "--quiet", "--anonymous"]
    if place.certificates is not None:
        command += ["--certs-dir", str(place.certificates)]
    return [*command, "--address", place.address, str(place.data)]


def _minio_environment(place: Place) -> dict[str, str]:
    return {
        "MINIO_ROOT_USER": place.access_key,
        "MINIO_ROOT_PASSWORD": place.secret_key,
        # Neither a console nor a look at what is newer.
        "MINIO_BROWSER": "off",
        "MINIO_UPDATE": "off",
    }


def _versitygw(place: Place) -> list[str]:
    listen = ["--quiet", "--port", place.address, *place.tls("--cert", "--key")]
    # Not every file system has attributes to keep metadata in.
    sidecar = place.directory / "metadata"
    sidecar.mkdir(exist_ok=True)
    backend = ["posix", "--sidecar", str(sidecar), str(place.data)]
    return [str(programs.VERSITYGW.find()), *listen, *backend]


def _versitygw_environment(place: Place) -> dict[str, str]:
    return {"ROOT_ACCESS_KEY": place.access_key, "ROOT_SECRET_KEY": place.secret_key}


def _rclone(place: Place) -> list[str]:
    listen = ["--addr", place.address, *place.tls("--cert", "--key")]
    # Bodies are written as they come.
    cache = ["--vfs-cache-mode", "off"]
    return [str(programs.rclone()), "serve", "s3", *listen, *cache, str(place.data)]


def _rclone_environment(place: Place) -> dict[str, str]:
    return {
        "RCLONE_AUTH_KEY": f'"{place.access_key},{place.secret_key}"',
        "RCLONE_CONFIG": str(place.directory / "rclone.conf"),
        "RCLONE_CACHE_DIR": str(place.directory / "cache"),
    }


#: What most people run themselves.
MINIO = Kind("minio", _minio, _minio_environment, lists_uploads=False)
#: Another implementation; as it comes, it keeps no connection alive.
VERSITYGW = Kind("versitygw", _versitygw, _versitygw_environment, keeps_alive=False)
#: Takes everything: what is right there is so because we looked.
RCLONE = Kind(
    "rclone", _rclone, _rclone_environment, checks_bodies=False, conditional=False
)
KINDS = (MINIO, VERSITYGW, RCLONE)
