"""What boto3 does for a large object: begin, list, complete, abort, copy.

It is imported and its client built at the first use: a run that moves nothing
large, with keys from the configuration, never pays for it.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from syncer.errors import PermanentError
from syncer.store.s3_connections import CONNECT, READ
from syncer.store.s3_failures import (
    UploadGone,
    cannot,
    code_of,
    no_keys,
    refusal,
    unreachable,
)
from syncer.store.s3_http import ATTEMPTS
from syncer.store.signing import Keys

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    import boto3
    from botocore.config import Config
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

    from syncer.store.s3_address import S3Address

_THERE = 412
_META = "sha256"


@dataclass(frozen=True, slots=True)
class Begun:
    """A multipart upload that has neither been completed nor aborted."""

    key: str
    upload: str
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """An uploaded part: its tag proves which bytes the server has."""

    number: int
    size: int
    etag: str
    crc: str | None = None
    since: datetime | None = None


class Multipart:
    """Multipart uploads of one bucket.  Safe to use from many threads."""

    def __init__(self, address: S3Address) -> None:
        self.address = address
        self._lock = threading.Lock()
        self._session: boto3.Session | None = None
        self._client: S3Client | None = None

    def keys(self) -> Keys:
        """Return the keys of now: configured, or found as boto3 finds them.

        Raises:
            AccessDenied: there are none.
        """
        if self.address.keys is not None:
            access, secret = self.address.keys
            return Keys(access.reveal(), secret.reveal())
        with self._translated():
            found = self._opened_session().get_credentials()
            if found is None:
                raise no_keys(self.address)
            frozen = found.get_frozen_credentials()
        if not frozen.access_key or not frozen.secret_key:
            raise no_keys(self.address)
        return Keys(frozen.access_key, frozen.secret_key, frozen.token)

    def begin(self, key: str, digest: str, *, checked: bool = True) -> str:
        """Begin an upload and return its id; parts carry a CRC if `checked`."""
        with self._s3() as s3:
            extra: dict[str, Any] = {"ChecksumAlgorithm": "CRC32"} if checked else {}
            answer = s3.create_multipart_upload(
                Bucket=self.address.bucket, Key=key, Metadata={_META: digest}, **extra
            )
            return answer["UploadId"]

    def uploads(self, prefix: str) -> list[Begun]:
        """Return the unfinished uploads below a prefix, as far as they are listed.

        MinIO lists them for a whole key alone.
        """
        found = []
        try:
            with self._s3() as s3:
                pages = s3.get_paginator("list_multipart_uploads").paginate(
                    Bucket=self.address.bucket, Prefix=prefix
                )
                for page in pages:
                    found += [
                        Begun(each["Key"], each["UploadId"], each["Initiated"])
                        for each in page.get("Uploads", [])
                    ]
        except UploadGone:
            return []  # rclone's way to say that there are none
        return found

    def parts(self, begun: Begun) -> list[Part]:
        """Return the parts of an upload in their order; none if it has ended."""
        found = []
        try:
            with self._s3() as s3:
                pages = s3.get_paginator("list_parts").paginate(
                    Bucket=self.address.bucket, Key=begun.key, UploadId=begun.upload
                )
                for page in pages:
                    found += [
                        Part(
                            each["PartNumber"],
                            each["Size"],
                            each["ETag"],
                            each.get("ChecksumCRC32"),
                            each.get("LastModified"),
                        )
                        for each in page.get("Parts", [])
                    ]
        except UploadGone:
            return []
        return sorted(found, key=lambda part: part.number)

    def complete(
        self, key: str, upload: str, parts: Sequence[Part], *, fresh: bool
    ) -> bool:
        """Make an object of the parts; False if `fresh` and there is one.

        The server takes no part whose bytes are not those that the tag is of.

        Raises:
            UploadGone: somebody else completed or aborted it.
        """
        listed: list[CompletedPartTypeDef] = []
        for part in parts:
            entry: CompletedPartTypeDef = {
                "PartNumber": part.number,
                "ETag": part.etag,
            }
            if part.crc is not None:
                entry["ChecksumCRC32"] = part.crc
            listed.append(entry)
        extra: dict[str, Any] = {"IfNoneMatch": "*"} if fresh else {}
        with self._s3(there=fresh) as s3:
            s3.complete_multipart_upload(
                Bucket=self.address.bucket,
                Key=key,
                UploadId=upload,
                MultipartUpload={"Parts": listed},
                **extra,
            )
            return True
        return False

    def abort(self, begun: Begun) -> None:
        """Forget an upload and its parts; that it has ended is no error."""
        try:
            with self._s3() as s3:
                s3.abort_multipart_upload(
                    Bucket=self.address.bucket, Key=begun.key, UploadId=begun.upload
                )
        except UploadGone:
            return

    def copy(self, source: str, etag: str, key: str, digest: str) -> None:
        """Copy an object of the bucket whole, by the server, in this version."""
        with self._s3() as s3:
            s3.copy_object(
                Bucket=self.address.bucket,
                Key=key,
                CopySource={"Bucket": self.address.bucket, "Key": source},
                CopySourceIfMatch=etag,
                MetadataDirective="REPLACE",
                Metadata={_META: digest},
            )

    def copy_part(
        self, source: str, etag: str, begun: Begun, number: int, span: range
    ) -> Part:
        """Copy a span of an object's bytes into a part, by the server."""
        with self._s3() as s3:
            answer = s3.upload_part_copy(
                Bucket=self.address.bucket,
                Key=begun.key,
                UploadId=begun.upload,
                PartNumber=number,
                CopySource={"Bucket": self.address.bucket, "Key": source},
                CopySourceIfMatch=etag,
                CopySourceRange=f"bytes={span.start}-{span.stop - 1}",
            )
            copied = answer.get("CopyPartResult", {}).get("ETag")
            if copied is None:
                # Some servers take it for the upload of a part without bytes.
                raise cannot(self.address, "copies no parts")
            return Part(number, len(span), copied)
        raise AssertionError  # pragma: no cover - the block returns or raises

    @contextmanager
    def _s3(self, *, there: bool = False) -> Iterator[S3Client]:
        """Hand out the client, and turn what it raises into our errors.

        With `there`, the answer that something is there already ends the block.
        """
        with self._translated(there=there):
            yield self._opened_client()

    @contextmanager
    def _translated(self, *, there: bool = False) -> Iterator[None]:
        from botocore import exceptions as boto  # noqa: PLC0415 - costs 100 ms

        try:
            yield
        except boto.ClientError as exc:
            status = exc.response["ResponseMetadata"]["HTTPStatusCode"]
            code = exc.response["Error"].get("Code", "")
            if there and (status == _THERE or code == "PreconditionFailed"):
                return
            raise refusal(self.address, status, _code(code)) from exc
        except (boto.NoCredentialsError, boto.PartialCredentialsError) as exc:
            raise no_keys(self.address) from exc
        except (boto.HTTPClientError, boto.ConnectionError) as exc:
            raise unreachable(self.address, exc) from exc
        except boto.BotoCoreError as exc:
            msg = f"the object store's client failed: {exc}; no blob was changed"
            raise PermanentError(msg) from exc

    def _opened_session(self) -> boto3.Session:
        with self._lock:
            if self._session is None:
                import boto3  # noqa: PLC0415 - costs 100 ms and 20 MiB

                self._session = boto3.Session()
            return self._session

    def _opened_client(self) -> S3Client:
        session = self._opened_session()
        keys = self.address.keys
        with self._lock:
            if self._client is None:
                self._client = session.client(
                    "s3",
                    region_name=self.address.region,
                    endpoint_url=self.address.origin,
                    verify=str(self.address.bundle() or "") or None,
                    config=_config(),
                    aws_access_key_id=keys and keys[0].reveal(),
                    aws_secret_access_key=keys and keys[1].reveal(),
                )
            return self._client


def _config() -> Config:
    from botocore.config import Config  # noqa: PLC0415 - as above

    return Config(
        signature_version="s3v4",
        s3={"addressing_style": "path"},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        retries={"mode": "adaptive", "total_max_attempts": ATTEMPTS},
        connect_timeout=CONNECT,
        read_timeout=READ,
        max_pool_connections=32,
        tcp_keepalive=True,
        proxies={},  # as our own connections: the store is near
    )


def _code(code: str) -> str:
    """Return an error code without what botocore puts in place of none."""
    return "" if code.isdecimal() else code_of({"x-minio-error-code": code}, b"")
