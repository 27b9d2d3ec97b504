"""Signatures: those of AWS's documentation, and those of botocore."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

import pytest
from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from syncer.store.signing import (
    EMPTY,
    UNSIGNED,
    Keys,
    Place,
    Signer,
    encoded_path,
    encoded_query,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# Of "Signature Calculations for the Authorization Header" in the S3 reference.
EXAMPLE = Keys("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
DAY = datetime(2013, 5, 24, tzinfo=UTC)
HOST = "examplebucket.s3.amazonaws.com"
ODD = "blobs/ä ö/+&=~%41/()'!*/;:@,$/\U0001f600"
KEYS = [EXAMPLE, Keys("AKID", "sécret/+", "token/with+odd=characters==")]
PAIRS = st.lists(st.tuples(st.text(min_size=1, max_size=8), st.text(max_size=8)))


def signature_of(headers: Mapping[str, str]) -> str:
    """Return the last part of an Authorization header."""
    return headers["authorization"].rpartition("Signature=")[2]


def botocore_headers(
    keys: Keys, method: str, url: str, headers: Mapping[str, str], payload: str
) -> str:
    """Return the Authorization header that botocore makes of a request."""
    request = AWSRequest(method=method, url=url, headers=dict(headers), data=b"")
    request.headers["X-Amz-Content-SHA256"] = payload
    signer = auth.S3SigV4Auth(_credentials(keys), "s3", "eu-central-1")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(auth, "get_current_datetime", lambda **_: _naive())
        # The payload that is declared is not that of the empty body here.
        patch.setattr(signer, "payload", lambda _: payload)
        signer.add_auth(request)
    return str(request.headers["Authorization"])


def _credentials(keys: Keys) -> Credentials:
    return Credentials(keys.access, keys.secret, keys.token)


def _naive() -> datetime:
    return DAY.replace(tzinfo=None)


@pytest.mark.parametrize(
    ("method", "path", "query", "headers", "payload", "expected"),
    [
        (
            "GET",
            "/test.txt",
            (),
            {"Range": "bytes=0-9"},
            EMPTY,
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        ),
        (
            "PUT",
            "/test$file.text",
            (),
            {
                "Date": "Fri, 24 May 2013 00:00:00 GMT",
                "x-amz-storage-class": "REDUCED_REDUNDANCY",
            },
            sha256(b"Welcome to Amazon S3.").hexdigest(),
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
        ),
        (
            "GET",
            "/",
            (("lifecycle", ""),),
            {},
            EMPTY,
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
        ),
        (
            "GET",
            "/",
            (("prefix", "J"), ("max-keys", "2")),
            {},
            EMPTY,
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        ),
    ],
)
def test_the_examples_of_aws_are_signed_as_documented(  # noqa: PLR0913, PLR0917 - one column each
    method: str,
    path: str,
    query: Iterable[tuple[str, str]],
    headers: Mapping[str, str],
    payload: str,
    expected: str,
) -> None:
    """The four examples of the S3 reference have the signatures printed there."""
    place = Place(HOST, encoded_path(path), encoded_query(query))

    signed = Signer("us-east-1").sign(EXAMPLE, method, place, headers, payload, DAY)

    assert signature_of(signed) == expected


def test_the_presigned_example_of_aws_is_as_documented() -> None:
    """The example of "Authenticating Requests: Using Query Parameters"."""
    place = Place(HOST, "/test.txt")

    target = Signer("us-east-1").presign(EXAMPLE, place, 86_400, DAY)

    expected = "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
    assert target.endswith(f"&X-Amz-Signature={expected}")


@pytest.mark.parametrize("keys", KEYS, ids=["lasting", "temporary"])
@pytest.mark.parametrize("payload", [EMPTY, UNSIGNED, "ab" * 32])
@pytest.mark.parametrize("method", ["GET", "PUT", "HEAD", "DELETE"])
def test_a_request_is_signed_as_botocore_signs_it(
    keys: Keys, payload: str, method: str
) -> None:
    """Odd characters, queries, further headers and session tokens included."""
    query = [("uploadId", "a/b+c=="), ("partNumber", "1"), ("x", "ä &"), ("acl", "")]
    place = Place("s3.test:9000", encoded_path(f"/b/{ODD}"), encoded_query(query))
    headers = {"If-None-Match": "*", "x-amz-meta-sha256": "two  spaces ", "range": "0"}

    ours = Signer("eu-central-1").sign(keys, method, place, headers, payload, DAY)

    url = f"http://{place.host}{place.target}"
    assert ours["authorization"] == botocore_headers(
        keys, method, url, headers, payload
    )
    assert ours.get("x-amz-security-token") == keys.token


@given(query=PAIRS, path=st.text(max_size=20))
def test_any_path_and_query_is_signed_as_botocore_signs_it(
    query: list[tuple[str, str]], path: str
) -> None:
    """Whatever a key and a query hold, the server computes what we computed."""
    place = Place("s3.test", encoded_path(f"/b/k{path}"), encoded_query(query))

    ours = Signer("eu-central-1").sign(EXAMPLE, "GET", place, {}, EMPTY, DAY)

    url = f"https://{place.host}{place.target}"
    assert ours["authorization"] == botocore_headers(EXAMPLE, "GET", url, {}, EMPTY)


@pytest.mark.parametrize("keys", KEYS, ids=["lasting", "temporary"])
def test_an_address_is_presigned_as_botocore_presigns_it(keys: Keys) -> None:
    """The same parameters with the same values, and the same signature."""
    place = Place("s3.test:9000", encoded_path(f"/b/{ODD}"))

    ours = Signer("eu-central-1").presign(keys, place, 600, DAY)

    request = AWSRequest(method="GET", url=f"http://{place.host}{place.path}")
    signer = auth.S3SigV4QueryAuth(_credentials(keys), "s3", "eu-central-1", 600)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(auth, "get_current_datetime", lambda **_: _naive())
        signer.add_auth(request)
    theirs = urlsplit(str(request.url))
    assert sorted(parse_qsl(urlsplit(ours).query)) == sorted(parse_qsl(theirs.query))
    assert urlsplit(ours).path == theirs.path


def test_the_key_of_another_day_or_secret_is_another() -> None:
    """What is kept of one day is not used on the next, nor for other keys."""
    signer, place = Signer("us-east-1"), Place(HOST, "/test.txt")
    next_day = DAY.replace(day=25)
    asked = [(EXAMPLE, DAY), (EXAMPLE, next_day), (KEYS[1], DAY), (EXAMPLE, DAY)]

    found = [signer.sign(k, "GET", place, {}, EMPTY, day) for k, day in asked]

    fresh = [
        Signer("us-east-1").sign(k, "GET", place, {}, EMPTY, day) for k, day in asked
    ]
    assert found == fresh
    assert found[0] == found[3]
    assert len({signature_of(each) for each in found}) == 3


def test_keys_are_not_shown() -> None:
    """A traceback or log that holds keys tells nothing of them."""
    assert repr(KEYS[1]) == "Keys()"
