"""What the object store of a configuration takes and gives."""

from __future__ import annotations

import secrets
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from deploy.stress.clock import Clock
from syncer.config import environment, load

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable

    from deploy.stress.clock import Row
    from syncer.endpoints import S3


def objects(asked: argparse.Namespace) -> Iterable[Row]:
    """Write, read and remove objects below a prefix of their own."""
    config = load(asked.config, environment())
    place, s3 = config.blobs_place, config.syncer.s3
    if isinstance(place, Path):
        sys.exit(f"error: blobs are in the directory {place}, not in an object store")
    client = _client(s3, asked.clients)
    prefix = f"{place.prefix}stress-{secrets.token_hex(6)}/"
    body = secrets.token_bytes(asked.kib * 1024)
    keys = [f"{prefix}{n}" for n in range(asked.count)]

    def put(key: str) -> int:
        client.put_object(Bucket=place.bucket, Key=key, Body=body)
        return len(body)

    def get(key: str) -> int:
        return len(client.get_object(Bucket=place.bucket, Key=key)["Body"].read())

    def remove(key: str) -> int:
        client.delete_object(Bucket=place.bucket, Key=key)
        return 0

    for what, act in (("PUT", put), ("GET", get), ("DELETE", remove)):
        yield _timed(f"{what} {asked.kib} KiB", act, keys, asked.clients)


def _timed(what: str, act: Callable[[str], int], keys: list[str], clients: int) -> Row:
    clock = Clock([])

    def one(key: str) -> None:
        try:
            clock(lambda: act(key))
        except (BotoCoreError, ClientError) as error:
            clock.failed(error)

    start = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(one, keys))
    return clock.row(what, time.perf_counter() - start)


def _client(s3: S3, clients: int) -> Any:  # noqa: ANN401 - boto3 makes its clients' classes while it runs
    keys = s3.keys
    options = Config(
        signature_version="s3v4",
        s3={"addressing_style": "path"},
        max_pool_connections=clients,
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    return boto3.session.Session().client(
        "s3",
        endpoint_url=s3.endpoint,
        region_name=s3.region,
        verify=str(s3.ca) if s3.ca else None,
        config=options,
        aws_access_key_id=keys[0].reveal() if keys else None,
        aws_secret_access_key=keys[1].reveal() if keys else None,
    )
