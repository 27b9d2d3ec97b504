"""The names of blobs, as digests and as keys."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncer.errors import InvalidName
from syncer.model.blobs import (
    Blob,
    blob_key,
    check_digest,
    digest_of,
    is_digest,
)

DIGEST = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
digests = st.text("0123456789abcdef", min_size=64, max_size=64)


def test_a_key_has_two_levels() -> None:
    """Two digits, two more, and the other sixty."""
    assert blob_key(DIGEST) == f"e3/b0/{DIGEST[4:]}"


@given(digests)
def test_a_key_and_its_digest_are_one(digest: str) -> None:
    """Each leads back to the other."""
    assert check_digest(digest) == digest
    assert digest_of(blob_key(digest)) == digest


@given(st.text(max_size=80))
def test_any_other_text_is_no_digest(text: str) -> None:
    """It is refused, in words that can be printed."""
    if is_digest(text):
        assert len(text) == 64
        return
    with pytest.raises(InvalidName, match="is not a sha256") as caught:
        check_digest(text)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "text",
    [
        "",
        DIGEST[:-1],
        DIGEST + "0",
        DIGEST.upper(),
        DIGEST + "\n",
        " " + DIGEST[1:],
        "g" + DIGEST[1:],
        "../" + DIGEST[3:],
        "٣" + DIGEST[1:],
        f"sha256:{DIGEST}",
    ],
)
def test_what_is_nearly_a_digest_is_none(text: str) -> None:
    """Length, case, digits and ends are those of a sha256, or it is refused."""
    assert not is_digest(text)
    with pytest.raises(InvalidName):
        check_digest(text)


@pytest.mark.parametrize(
    "key",
    [
        "",
        DIGEST,
        f"{DIGEST[:2]}/{DIGEST[2:]}",
        f"/{blob_key(DIGEST)}",
        f"{blob_key(DIGEST)}/",
        f"{blob_key(DIGEST)}\n",
        blob_key(DIGEST).upper(),
        f"incoming/{DIGEST}",
    ],
)
def test_a_foreign_key_stands_for_nothing(key: str) -> None:
    """Only what a blob's key can be is taken for one."""
    assert digest_of(key) is None


def test_blobs_sort_by_digest() -> None:
    """Then by length, which a digest decides."""
    assert sorted([Blob("b", 1), Blob("a", 2), Blob("a", 1)]) == [
        Blob("a", 1),
        Blob("a", 2),
        Blob("b", 1),
    ]
