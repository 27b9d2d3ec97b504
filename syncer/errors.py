"""Every exception `syncer` raises on purpose.

SyncerError                                                            exit 1
├── ConfigError              repos.toml or the environment is wrong    exit 2
│   └── InvalidName          not a repository or ref name
├── TransientError           worth another attempt                     exit 5
│   ├── RateLimited          upstream told us when to come back
│   ├── Unavailable          timeouts, 5xx, refused connections
│   ├── Truncated            a stream ended before its declared size
│   ├── Expired              leave to download something has run out
│   ├── OverQuota            the owner's allowance upstream is used up
│   ├── NoSpace              the store is below its floor, or full
│   └── CatalogBusy          the database is locked or restarting
├── PermanentError           the same attempt would fail again         exit 1
│   ├── UnknownMirror        not in the catalog                        exit 12
│   ├── NotFound             upstream says it does not exist
│   │   └── Gone             it said so often enough, for long enough
│   ├── Moved                upstream answers from another address
│   ├── Blocked              upstream may not give it, for legal reasons
│   ├── TooLarge             a mirror would grow beyond its max_size
│   ├── AccessDenied         our credentials are not enough            exit 4
│   ├── ProtocolError        upstream does not speak git as we know it
│   ├── EgressRefused        an address or host the policy forbids
│   ├── GitFailed            git ended with an error
│   ├── GitTooOld            git lacks security fixes we rely on
│   ├── IntegrityError       bytes are not what they should be         exit 7
│   │   ├── Dangerous        fsck found what must not be published
│   │   └── Impostor         another repository has the name now
│   ├── Locked               another process holds the mirror or store exit 11
│   ├── NotInitialised       there is no catalog here yet              exit 10
│   └── SchemaOutdated       the catalog needs `syncer db upgrade`     exit 10
└── Interrupted              a signal asked us to stop                 exit 130

A message says what happened and what was not changed; `hint` says what to do
next.  Retry, exit codes and HTTP statuses are decided from this tree.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import timedelta


class SyncerError(Exception):
    """The base of everything raised on purpose."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class ConfigError(SyncerError):
    """The configuration cannot be used; `problems` lists everything wrong."""

    exit_code = 2

    def __init__(
        self, message: str, *, problems: tuple[str, ...] = (), hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.problems = problems


class InvalidName(ConfigError):
    """Text that is not the name of a repository or ref."""


class TransientError(SyncerError):
    """Something that another attempt may not meet again."""

    exit_code = 5


class RateLimited(TransientError):
    """Upstream asked us to come back later."""

    def __init__(
        self, message: str, *, retry_after: timedelta | None, hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after


class Unavailable(TransientError):
    """Upstream did not answer, or answered that it cannot."""


class Truncated(TransientError):
    """A stream ended before its end was announced."""


class Expired(TransientError):
    """An address or signature that upstream gave us no longer counts."""


class OverQuota(TransientError):
    """The owner's allowance upstream is used up; it may be raised or renewed."""


class NoSpace(TransientError):
    """The store has too little room to start or finish this."""


class CatalogBusy(TransientError):
    """The database did not take a statement in time."""


class PermanentError(SyncerError):
    """Something the same attempt would meet again."""


class UnknownMirror(PermanentError):
    """A name that the catalog does not hold."""

    exit_code = 12


class NotFound(PermanentError):
    """Upstream says there is no such repository."""


class Gone(NotFound):
    """Upstream has denied a repository often enough, for long enough."""


class Moved(PermanentError):
    """Upstream redirects; we never follow, since tokens would follow too."""


class Blocked(PermanentError):
    """Upstream may not give it for legal reasons; `notice` says where it tells why."""

    def __init__(
        self, message: str, *, notice: str | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.notice = notice


class TooLarge(PermanentError):
    """A mirror would need more bytes than it may; `size` is how many, at least."""

    def __init__(self, message: str, *, size: int, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.size = size


class AccessDenied(PermanentError):
    """Upstream refuses our credentials, or wants some."""

    exit_code = 4


class ProtocolError(PermanentError):
    """An answer that is not the git protocol."""


class EgressRefused(PermanentError):
    """A request that the egress policy does not allow."""


class GitFailed(PermanentError):
    """A git command ended with an error; `stderr` holds its words."""

    def __init__(
        self,
        message: str,
        *,
        status: int,
        stderr: str = "",
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.stderr = stderr


class GitTooOld(PermanentError):
    """The git binary lacks security fixes this program relies on."""


class IntegrityError(PermanentError):
    """Bytes that are not what their name says."""

    exit_code = 7


class Dangerous(IntegrityError):
    """An object that fsck refuses and that must not be published."""

    def __init__(
        self, message: str, *, oid: str, check: str, hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.oid = oid
        self.check = check


class Impostor(IntegrityError):
    """Another repository has the name of one that is mirrored; `id` is its own."""

    def __init__(self, message: str, *, id_: int, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.id = id_


class Locked(PermanentError):
    """Another process holds what this one needs."""

    exit_code = 11


class NotInitialised(PermanentError):
    """No catalog has been created here."""

    exit_code = 10


class SchemaOutdated(PermanentError):
    """The catalog's tables are older or newer than this program."""

    exit_code = 10


class Interrupted(SyncerError):
    """A signal asked this process to stop; published refs are untouched."""

    exit_code = 130
