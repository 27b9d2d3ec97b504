"""How git reaches one upstream repository, and `git ls-remote` as a last resort."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from syncer.git.command import Call

if TYPE_CHECKING:
    from syncer.git.command import GitCommand

FIRST_WORD = timedelta(seconds=60)
_LISTING = timedelta(minutes=5)


@dataclass(frozen=True)
class Remote:
    """An address without secrets, and the configuration that authenticates us.

    `config` may hold a token: it goes into the child's environment only.
    """

    url: str
    config: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    env: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    @property
    def allowed(self) -> dict[str, str]:
        """The environment that permits this address's protocol and no other."""
        scheme = self.url.partition("://")[0]
        return {"GIT_ALLOW_PROTOCOL": scheme, **dict(self.env)}


def ls_remote(git: GitCommand, remote: Remote) -> bytes:
    """Return what `git ls-remote --symref` prints of all refs."""
    return git.run(
        Call(
            ["ls-remote", "--symref", "--end-of-options", remote.url],
            env=remote.allowed,
            config=remote.config,
            timeout=_LISTING,
        )
    ).stdout
