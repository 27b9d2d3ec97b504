"""A real S3 server on loopback, thrown away when the tests end.

Started once per test process, when a test first needs it; every test gets
buckets of its own, and they are gone after it.
"""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from functools import cached_property
from itertools import count
from typing import TYPE_CHECKING

from tests.servers.s3_process import Process

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    import pytest
    from mypy_boto3_s3 import S3Client

    from tests.servers.s3_kinds import Kind

REGION = "us-east-1"


class S3Server(Process):
    """A process that answers, the buckets made in it, and a client of it."""

    def __init__(self, kind: Kind, *, tls: bool = False) -> None:
        super().__init__(kind, tls=tls)
        self._buckets: list[str] = []
        self._numbers = count(1)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        client = self.__dict__.pop("_client", None)
        if client is not None:
            client.close()
        super().__exit__(kind, value, trace)

    def bucket(self) -> str:
        """Make a bucket and return its name, which no other one ever had."""
        name = f"bucket-{next(self._numbers)}"
        self.client().create_bucket(Bucket=name)
        self._buckets.append(name)
        return name

    def client(self) -> S3Client:
        """Return a client that trusts it and has its keys; it may be shared."""
        return self._client

    def clear(self) -> None:
        """Remove every bucket it handed out, with all that is in them."""
        self.start()
        while self._buckets:
            name = self._buckets.pop()
            # By its own way where it has one: it remembers what we do not see.
            if self.kind.name == "minio":
                self._force_delete(name)
            for where in (self.place.data, self.place.directory / "metadata"):
                shutil.rmtree(where / name, ignore_errors=True)

    def _force_delete(self, bucket: str) -> None:
        client = self.client()

        def forced(params: dict[str, dict[str, str]], **_: object) -> None:
            params["headers"]["x-minio-force-delete"] = "true"

        event = "before-call.s3.DeleteBucket"
        client.meta.events.register(event, forced)
        try:
            client.delete_bucket(Bucket=bucket)
        except client.exceptions.NoSuchBucket:
            pass  # The test has removed it.
        finally:
            client.meta.events.unregister(event, forced)

    @cached_property
    def _client(self) -> S3Client:
        return connected(self)


def connected(
    server: S3Server,
    endpoint: str | None = None,
    *,
    keys: tuple[str, str] | None = None,
    read_timeout: float = 30,
) -> S3Client:
    """Return a plain client of the server, or of what listens at `endpoint`.

    It asks once, adds no checksums of its own, and waits `read_timeout` seconds.
    `keys` are other ones than the server's, an id and a secret.
    """
    import boto3  # noqa: PLC0415  only tests with S3 pay for the import
    from botocore.config import Config  # noqa: PLC0415 - slow to load, and rarely asked for

    access_key, secret_key = keys or (server.access_key, server.secret_key)
    client: S3Client = boto3.client(
        "s3",
        endpoint_url=endpoint or server.endpoint,
        region_name=REGION,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        verify=None if server.ca is None else str(server.ca),
        config=Config(
            signature_version="s3v4",
            s3={"addressing_style": "path"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            retries={"total_max_attempts": 1},
            connect_timeout=5,
            read_timeout=read_timeout,
        ),
    )
    return client


_SERVERS: dict[tuple[str, bool], S3Server] = {}


def lent(config: pytest.Config, kind: Kind, *, tls: bool = False) -> Iterator[S3Server]:
    """Yield this process's server of a kind; what the test put there goes after it.

    Raises:
        Missing: the program is not on this machine.
    """
    key = (kind.name, tls)
    if key not in _SERVERS:
        stack = ExitStack()
        _SERVERS[key] = stack.enter_context(S3Server(kind, tls=tls))
        config.add_cleanup(stack.close)
    yield _SERVERS[key]
    _SERVERS[key].clear()
