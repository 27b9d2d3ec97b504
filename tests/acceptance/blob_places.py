"""Where the command keeps blobs, looked at without it: a directory, or a bucket."""

from __future__ import annotations

from typing import TYPE_CHECKING

from syncer.model.blobs import digest_of

if TYPE_CHECKING:
    from pathlib import Path

    from mypy_boto3_s3 import S3Client

    from tests.acceptance.command import Command
    from tests.servers.s3 import S3Server

_PREFIX = "blobs/"


def in_bucket(
    syncer: Command, server: S3Server, bucket: str, endpoint: str | None = None
) -> None:
    """Let a command keep blobs in a bucket, by its environment."""
    syncer.environ |= {
        "SYNCER_BLOBS": f"s3://{bucket}",
        "SYNCER_S3_ENDPOINT": endpoint or server.endpoint,
        "SYNCER_S3_ACCESS_KEY": server.access_key,
        "SYNCER_S3_SECRET_KEY": server.secret_key,
    }


def of_bucket(client: S3Client, bucket: str) -> dict[str, bytes]:
    """Return the bytes of every blob, by the digest that its key is."""
    listed = client.list_objects_v2(Bucket=bucket)
    assert not listed["IsTruncated"]
    found = {}
    for entry in listed.get("Contents", []):
        answer = client.get_object(Bucket=bucket, Key=entry["Key"])
        found[_digest(entry["Key"].removeprefix(_PREFIX))] = answer["Body"].read()
    return found


def of_directory(place: Path) -> dict[str, bytes]:
    """Return the bytes of every blob, by the digest that its path is."""
    files = [path for path in place.rglob("*") if path.is_file()]
    return {
        _digest(path.relative_to(place).as_posix()): path.read_bytes() for path in files
    }


def _digest(key: str) -> str:
    digest = digest_of(key)
    assert digest is not None, f"{key} is no blob's name"
    return digest
