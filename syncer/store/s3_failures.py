"""What a refusal of the object store means, in the errors of our tree."""

from __future__ import annotations

import re
import ssl
from http.client import HTTPException, IncompleteRead
from typing import TYPE_CHECKING

from syncer.errors import (
    AccessDenied,
    NoSpace,
    NotFound,
    PermanentError,
    SyncerError,
    Truncated,
    Unavailable,
)
from syncer.store.s3_connections import NotConnected

if TYPE_CHECKING:
    from collections.abc import Mapping

    from syncer.store.s3_address import S3Address

_KEPT = "no blob was changed"
_CODE = re.compile(rb"<Code>([A-Za-z0-9.]{1,80})</Code>")
_WORDS = 200
_LONGEST = 30.0

_DENIED = {
    "AccessDenied",
    "AllAccessDisabled",
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidToken",
    "SignatureDoesNotMatch",
    "XAdminUserNotFound",  # versitygw, for an access key that it does not know
}
_FULL = {
    "QuotaExceeded",
    "XMinioAdminBucketQuotaExceeded",
    "XMinioStorageFull",
}
_SKEWED = {"RequestExpired", "RequestTimeTooSkewed"}
_ELSEWHERE = {
    "AuthorizationHeaderMalformed",
    "IllegalLocationConstraintException",
    "PermanentRedirect",
    "TemporaryRedirect",
}
_CHANGED = {"InvalidPart", "InvalidPartOrder", "NoSuchUpload", "PreconditionFailed"}
_DAMAGED = {
    "BadDigest",
    "XAmzContentChecksumMismatch",
    "XAmzContentSHA256Mismatch",
}
#: Codes and statuses after which the same request may succeed in a moment.
_AGAIN = {
    "ConditionalRequestConflict",
    "InternalError",
    "OperationAborted",
    "RequestTimeout",
    "ServiceUnavailable",
    "SlowDown",
    "SlowDownRead",
    "SlowDownWrite",
    *_DAMAGED,  # on the way: what was sent has the digest that it should have
}
_AGAIN_STATUS = {408, 429, 500, 502, 503, 504}


class UploadGone(Unavailable):
    """A multipart upload that somebody else completed, aborted or added to."""


class Broken(Unavailable):
    """The connection ended before there was an answer."""


class Refused(PermanentError):
    """A request that the server does not take, whoever sends it."""


def code_of(headers: Mapping[str, str], body: bytes) -> str:
    """Return the error code of an answer, empty where it names none.

    An answer to HEAD has no body; MinIO repeats the code in a header.
    """
    match = _CODE.search(body)
    named = headers.get("x-minio-error-code", "")
    return match[1].decode() if match else re.sub(r"[^A-Za-z0-9.]", "", named)


def is_passing(status: int, code: str) -> bool:
    """Return whether the same request is worth sending again at once."""
    if code in _FULL:
        return False
    return code in _AGAIN or status in _AGAIN_STATUS


def pause_of(headers: Mapping[str, str]) -> float:
    """Return how many seconds `Retry-After` asks for (RFC 9110 10.2.3), bounded."""
    text = headers.get("retry-after", "").strip()
    return min(float(text), _LONGEST) if re.fullmatch(r"[0-9]{1,6}", text) else 0.0


def refusal(address: S3Address, status: int, code: str) -> SyncerError:
    """Return the error that an answer with an error stands for."""
    said = f"status {status}" + (f", {code}" if code else "")
    where = address.origin
    error: SyncerError
    if code == "NoSuchBucket":
        error = no_bucket(address)
    elif code == "NoSuchKey":
        error = NotFound(f"an object at {where} is not there any more; {_KEPT}")
    elif code in _CHANGED:
        msg = f"somebody else ended or changed an upload to {where} ({said}); {_KEPT}"
        error = UploadGone(msg, hint="another run continues with what is there")
    elif code in _FULL or status == 507:  # noqa: PLR2004 - Insufficient Storage
        msg = f"the object store at {where} is full ({said}); {_KEPT}"
        error = NoSpace(msg, hint="make room there; work resumes by itself")
    elif code in _SKEWED:
        msg = f"the clock here and that of {where} differ too much; {_KEPT}"
        error = PermanentError(msg, hint="set both clocks, by NTP for one")
    elif code in _ELSEWHERE or status in {301, 307, 308}:
        msg = f"the bucket {address.bucket} is not in region {address.region}: {said}"
        error = PermanentError(msg, hint="set `[syncer.s3] region` and `endpoint`")
    elif code in _DENIED or status in {401, 403}:
        error = _denied(address, said)
    elif is_passing(status, code) or status >= 502:  # noqa: PLR2004 - 501 stays
        error = Unavailable(f"the object store at {where} cannot answer: {said}")
    else:
        msg = f"the object store at {where} refuses a request: {said}; {_KEPT}"
        error = Refused(msg)
    return error


def cannot(address: S3Address, what: str) -> Refused:
    """Return the error for what a server does not do though it says so."""
    return Refused(f"the object store at {address.origin} {what}; {_KEPT}")


def no_bucket(address: S3Address) -> NotFound:
    """Return the error for a bucket that is not there."""
    return NotFound(
        f"there is no bucket {address.bucket} at {address.origin}",
        hint=f"make it, with `mc mb` or `aws s3 mb s3://{address.bucket}` for one",
    )


def _denied(address: S3Address, said: str) -> AccessDenied:
    return AccessDenied(
        f"the object store at {address.origin} refuses our keys: {said}",
        hint="check the keys, and that they may list, read, write and delete in "
        f"the bucket {address.bucket}",
    )


def no_keys(address: S3Address) -> AccessDenied:
    """Return the error for keys that are nowhere to be found."""
    return AccessDenied(
        f"there are no keys for the object store at {address.origin}",
        hint="set `[syncer.s3] access_key_file` and `secret_key_file`",
    )


def unreachable(address: S3Address, exc: Exception) -> SyncerError:
    """Return the error that an exception of an HTTP client stands for."""
    if isinstance(exc, IncompleteRead):
        return Truncated(f"the object store at {address.origin} broke off its answer")
    cause = exc.__cause__ or exc if isinstance(exc, NotConnected) else exc
    hint = None
    if "CERTIFICATE_VERIFY" in str(cause):
        hint = "name its certificate authority with `[syncer.s3] ca`"
    broken = isinstance(exc, (HTTPException, ConnectionError, ssl.SSLError))
    return (Broken if broken else Unavailable)(
        f"the object store at {address.origin} did not answer: {_words(exc, cause)}",
        hint=hint,
    )


def _words(exc: Exception, cause: BaseException) -> str:
    if isinstance(cause, TimeoutError):
        if isinstance(exc, NotConnected):
            return "the connection was not made in time"
        return "nothing came for too long"
    text = str(cause) or type(cause).__name__
    return "".join(c if c.isprintable() else "?" for c in text[:_WORDS])
