"""What a visit costs that finds releases as they were: requests, and time.

300 releases with 1,500 assets: once they are here, each further sync finds either
nothing changed, or that they were downloaded more often.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from bench.harness import Bar, report, spent
from bench.into_minio import run
from bench.release_upstream import NAME, TOKEN
from tests.servers.github import GitHubServer

if TYPE_CHECKING:
    import resource
    from collections.abc import Callable, Sequence

    from tests.servers.github import Seen

RELEASES, PER_RELEASE = 300, 5
_VISITS = 5
#: Three pages of a hundred, the repository, and the refs.
_MOST = 5


def quiet() -> int:
    """Measure and print the verdict."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-quiet-") as name,
        GitHubServer(validate=False) as server,
    ):
        _publish(server)
        config = _config(Path(name), server)
        token = {"SYNCER_GITHUB_TOKEN": TOKEN}

        def sync() -> resource.struct_rusage:
            return run("sync", config, None, token)

        run("init", config, None, token)
        first = spent(sync).wall
        brought = sum(seen.host == "assets" for seen in server.requests)
        sync()  # our own downloads are counted, too: each page is another now
        same = [_visit(server, sync, lambda: None) for _ in range(_VISITS)]
        more = [_visit(server, sync, lambda: _download(server)) for _ in range(_VISITS)]
    facts = {
        "releases": f"{RELEASES}, of {PER_RELEASE} assets each; the tests' GitHub",
        "first sync": f"{first:.2f} s, {brought} assets",
        "nothing changed": _told(same),
        "only download counts changed": _told(more),
    }
    most = max(len(visit.asked) for visit in same)
    whole = max(visit.whole for visit in same)
    loads = max(visit.downloads for visit in same + more)
    bars = [
        Bar("requests, nothing changed", most, _MOST, at_least=False),
        Bar("of them answered with a whole document", whole, 0, at_least=False),
        Bar("downloads", loads, 0, at_least=False),
        Bar("assets of the first sync", brought, RELEASES * PER_RELEASE, at_least=True),
    ]
    return report("releases, unchanged", bars, facts)


class _Visit:
    """One sync: what it asked, its wall time and its processor time."""

    def __init__(self, asked: Sequence[Seen], wall: float, cpu: float) -> None:
        self.asked, self.wall, self.cpu = asked, wall, cpu

    @property
    def whole(self) -> int:
        """Calls of the API that were answered with a whole document."""
        return sum(seen.host == "api" and seen.status != 304 for seen in self.asked)

    @property
    def downloads(self) -> int:
        """Requests for assets."""
        return sum("/releases/download/" in s.path for s in self.asked) + sum(
            seen.host == "assets" for seen in self.asked
        )


def _visit(
    server: GitHubServer,
    sync: Callable[[], resource.struct_rusage],
    before: Callable[[], None],
) -> _Visit:
    before()
    server.forget()
    usage: list[resource.struct_rusage] = []
    wall = spent(lambda: usage.append(sync())).wall
    return _Visit(server.requests, wall, usage[0].ru_utime + usage[0].ru_stime)


def _told(visits: Sequence[_Visit]) -> str:
    """Describe the last visit's requests, and the medians of all."""
    found = Counter(
        f"{seen.host} {seen.status}" + (" conditional" if seen.conditional else "")
        for seen in visits[-1].asked
    )
    asked = ", ".join(f"{number} x {what}" for what, number in sorted(found.items()))
    wall = median(visit.wall for visit in visits)
    cpu = median(visit.cpu for visit in visits)
    return f"{len(visits[-1].asked)} requests ({asked}); {wall:.2f} s, CPU {cpu:.2f} s"


def _publish(server: GitHubServer) -> None:
    server.token(TOKEN)
    repository = server.repository(NAME)
    server.git.repository(repository).commit("main", {"README": b"tiny\n"})
    for number in range(RELEASES):
        release = repository.release(f"v{number}", body="What is new.\n" * 40)
        for part in range(PER_RELEASE):
            release.asset(f"part-{part}.bin", b"%d of %d" % (part, number))


def _download(server: GitHubServer) -> None:
    """Let somebody download an asset of every release."""
    with server.state.lock:
        for asset in server.state.assets.values():
            asset.download_count += 1


def _config(place: Path, server: GitHubServer) -> Path:
    path = place / "repos.toml"
    path.write_text(
        f'[syncer]\ndata = "{place / "mirror"}"\n\n'
        f'[host."github.com"]\ngit = "{server.url}"\napi = "{server.api}"\n'
        f'private = true\nprobes = 100000\ndownloads = ["{server.assets_host}"]\n\n'
        f'[[repo]]\nname = "{NAME}"\n',
        encoding="utf-8",
    )
    return path
