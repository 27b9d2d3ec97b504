"""A GitHub for measurements: its API in Python, nginx in front and for the bytes.

In a process of its own, so that it shares no lock with what is measured.  nginx
redirects each download to storage, by name as for anybody, and by id as the API
does for who has a token; everything else is the tests' GitHub behind it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench import nginx
from bench.harness import ROOT
from tests.servers.lfs import Generated

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.servers.github import GitHubServer

NAME = "acme/widget"
TOKEN = "ghp_measured"  # noqa: S105 - a loopback server's, and no secret
_SEED = 1
_PER_RELEASE = 64
#: As long as the signed address of a download is.
_SIGNED = (
    "?sp=r&sv=2018-11-09&sr=b&se=2030-01-01T00%3A00%3A00Z"
    "&rscd=attachment&rsct=application%2Foctet-stream&sig="
) + "0" * 600

_FRONT = """
location ~ ^/{name}/releases/download/(?<named>.+)$ {{
  return 302 {storage}/{name}/$named{signed};
}}
location ~ ^/repos/{name}/releases/assets/(?<number>[0-9]+)$ {{
  return 302 {storage}/id/$number{signed};
}}
location / {{
  proxy_pass {behind}; proxy_http_version 1.1; proxy_set_header Connection "";
  proxy_buffering off; proxy_request_buffering off; client_max_body_size 0;
}}
"""


@dataclass(frozen=True)
class ReleaseUpstream:
    """Where API, web and git are, and storage; the authority is None without TLS."""

    url: str
    storage: str
    ca: Path | None


def build(place: Path, sizes: Sequence[int]) -> frozenset[str]:
    """Make assets of about these sizes below `place`; return their digests."""
    place.chmod(0o755)  # nginx, started by root, reads as another user
    # Another length is another asset, from the same noise.
    contents = [Generated(_SEED, size + n) for n, size in enumerate(sizes)]
    for number, content in enumerate(contents):
        file = place / "objects" / NAME / _tag(number) / _file(content)
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("wb") as out:
            out.writelines(content.blocks())
    (place / "sizes.json").write_text(json.dumps([c.size for c in contents]))
    return frozenset(content.pointer.oid for content in contents)


@contextmanager
def serve(place: Path, *, tls: bool, digests: bool) -> Iterator[ReleaseUpstream]:
    """Serve what `build` made; without `digests` as GitHub did until June 2025."""
    nginx.require()
    flags = [str(int(tls)), str(int(digests))]
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.release_upstream", str(place), *flags],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    try:
        if process.stdout is None:
            sys.exit("the upstream has no pipes")
        url, storage, *ca = process.stdout.readline().split()
        yield ReleaseUpstream(url, storage, Path(ca[0]) if ca else None)
    finally:
        process.communicate(timeout=30)  # the end of its stdin stops it


def _main(place: Path, *, tls: bool, digests: bool) -> None:
    from tests.servers.github import GitHubServer  # noqa: PLC0415 - the child only

    trusted, certificate = nginx.certify(place) if tls else (None, None)
    front, storage = nginx.site(certificate), nginx.site(certificate)
    with GitHubServer(validate=False) as server:
        _publish(server, place, front.url, digests=digests)
        redirects = _FRONT.format(
            name=NAME, storage=storage.url, signed=_SIGNED, behind=server.url
        )
        files = f"root {place}/objects;"
        with nginx.running(place, [(front, redirects), (storage, files)]):
            print(front.url, storage.url, trusted or "", flush=True)
            sys.stdin.read()


def _publish(server: GitHubServer, place: Path, url: str, *, digests: bool) -> None:
    """Release the files, and let the API name the front's addresses."""
    from tests.servers.github_calls import Calls  # noqa: PLC0415 - the child only
    from tests.servers.github_documents import Documents  # noqa: PLC0415 - as above

    server.calls = Calls(server.state, Documents(url, url))
    server.token(TOKEN)
    repository = server.repository(NAME)
    server.git.repository(repository).commit("main", {"README": b"tiny\n"})
    by_id = place / "objects/id"
    by_id.mkdir(exist_ok=True)
    releases = {}
    for number, size in enumerate(json.loads((place / "sizes.json").read_text())):
        tag, content = _tag(number), Generated(_SEED, size)
        if tag not in releases:
            releases[tag] = repository.release(tag)
        made = releases[tag].asset(_file(content), content, digest=digests)
        link = by_id / str(made.id)
        if not link.exists():
            link.hardlink_to(place / "objects" / NAME / tag / made.name)


def _tag(number: int) -> str:
    return f"v1.{number // _PER_RELEASE}"


def _file(content: Generated) -> str:
    return f"part-{content.size}.bin"


if __name__ == "__main__":
    os.environ.pop("PYTHONWARNINGS", None)
    _main(Path(sys.argv[1]), tls=sys.argv[2] == "1", digests=sys.argv[3] == "1")
