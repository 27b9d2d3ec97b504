"""The `Link` header, and the addresses that are followed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncer.errors import ProtocolError
from syncer.upstream.github_links import below, following

API = "https://api.github.com"
NEXT = f"{API}/repositories/7/releases?per_page=100&page=2"


@pytest.mark.parametrize(
    ("header", "target"),
    [
        ("", None),
        (f'<{NEXT}>; rel="next"', NEXT),
        (f'<{NEXT}>; rel="next", <{API}/x?page=3>; rel="last"', NEXT),
        (f'<{API}/x?page=3>; rel="last" , <{NEXT}>;rel=next', NEXT),
        (f'<{API}/x>; rel="prev", <{API}/y>; rel="first"', None),
        (f'<{NEXT}>; rel="last Next"', NEXT),
        (f'<{NEXT}>; REL="NEXT"', NEXT),
        (f'<{NEXT}>; title="a, \\"b\\"; <c>"; rel="next"', NEXT),
        (f'<{API}/x>; rel="last"; rel="next"', None),
        (f'<{API}/x>; rel="next"; anchor="#y"', None),
        (f'<{API}/x>; title="rel=next"', None),
        (f'<{API}/x>; rel="nexts"', None),
        ('<?page=2>; rel="next"', "?page=2"),
        (f', ,<{NEXT}>; rel="next", ,', NEXT),
        (f'<{NEXT}>; rel="next", <{NEXT}>; rel="next"', NEXT),
    ],
)
def test_the_next_page_is_found(header: str, target: str | None) -> None:
    """In every spelling that RFC 8288 allows."""
    assert following(header) == target


@pytest.mark.parametrize(
    "header",
    [
        "nonsense",
        f"<{NEXT}",
        f'<{NEXT}>; rel="next',
        f'<{NEXT}> rel="next"',
        f'<{API}/ x>; rel="next"',
        f'<{NEXT}>; rel="next"; ; ',
        f'<{NEXT}>; rel="next", <{API}/other>; rel="next"',
        f'<{API}/{"x" * 20_000}>; rel="next"',
    ],
)
def test_what_cannot_be_understood_is_no_end(header: str) -> None:
    """Else a listing would seem to end there, and its rest to be deleted."""
    with pytest.raises(ProtocolError, match="Link"):
        following(header)


@given(st.text(alphabet='<>;,="\\ \trelnxt/?a', max_size=60))
def test_no_header_breaks_the_reader(header: str) -> None:
    """There is a target, none, or a `ProtocolError`."""
    try:
        target = following(header)
    except ProtocolError:
        return
    assert target is None or f"<{target}>" in header


@pytest.mark.parametrize("base", [API, "https://ghe.test/api/v3"])
def test_what_is_below_an_api_is_a_path(base: str) -> None:
    """As it is appended to the base."""
    path = "/repositories/7/releases?per_page=100&page=2"
    assert below(base, f"{base}{path}") == path
    assert below(base, f"{base.upper()[:8]}{base[8:]}{path}") == path
    assert below(base, f"{base}/repos/a/b/attestations/sha256%3Aab") is not None


@pytest.mark.parametrize(
    "url",
    [
        "https://ghe.test/api/v3evil/x",
        "https://ghe.test/api/v3",
        "https://ghe.test/x",
        "http://ghe.test/api/v3/x",
        "https://ghe.test:444/api/v3/x",
        "https://ghe.test.evil.test/api/v3/x",
        "https://user@ghe.test/api/v3/x",
        "https://ghe.test/api/v3/../../x",
        "https://ghe.test/api/v3/./x",
        "https://ghe.test/api/v3/%2e%2e/x",
        "https://ghe.test/api/v3//x",
        "https://ghe.test/api/v3/x\\y",
        "https://ghe.test/api/v3/x y",
        "//ghe.test/api/v3/x",
        "file:///api/v3/x",
        "",
    ],
)
def test_what_is_elsewhere_is_none(url: str) -> None:
    """Our token goes to the API, and to nothing that only looks like it."""
    assert below("https://ghe.test/api/v3", url) is None
