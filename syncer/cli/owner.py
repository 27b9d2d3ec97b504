"""Who this process is: root becomes the store's owner before it opens anything.

A catalog or a pack that root made would be closed to the daemon, which runs
as the store's owner.
"""

from __future__ import annotations

import os
import pwd
from contextlib import contextmanager
from typing import TYPE_CHECKING

import syncer
from syncer.errors import PermanentError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from syncer.config import Config


def read_secrets(config: Config) -> None:
    """Read the secrets while we are root: the store's owner may not be let in."""
    if os.geteuid() == 0:
        config.secrets()


def become_owner(data: Path, *, for_good: bool = True) -> bool:
    """Become the user that owns the store if we are root; True if that is another.

    With `for_good` false, `acting_for` can be root again for a moment.

    Raises:
        PermanentError: that user may not read this program.
    """
    if os.geteuid() != 0:
        return False
    try:
        status = data.stat()
    except OSError:
        return False  # there is no store yet, and so no owner
    user, group = status.st_uid, status.st_gid
    if user == 0:
        return False
    os.setgroups(_groups(user, group))
    if for_good:
        os.setgid(group)
        os.setuid(user)
    else:
        os.setresgid(group, group, 0)
        os.setresuid(user, user, 0)
    _check_readable(data, user)
    return True


def _check_readable(data: Path, user: int) -> None:
    """Refuse now rather than at the first module that cannot be imported."""
    for module in (os, syncer):
        if not os.access(str(module.__file__), os.R_OK):
            msg = (
                f"{data} belongs to {_name(user)}, who may not read "
                f"{module.__file__}; nothing was changed"
            )
            hint = "install syncer and its Python where that user can read them"
            raise PermanentError(msg, hint=hint)


def _name(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"user {user}"


def _groups(user: int, group: int) -> list[int]:
    try:
        return os.getgrouplist(pwd.getpwuid(user).pw_name, group)
    except KeyError:  # a number without a name, as in containers
        return [group]


@contextmanager
def acting_for(directory: Path) -> Iterator[None]:
    """Be root for the length of a block if only that may write to a directory.

    Works after `become_owner(..., for_good=False)`; otherwise changes nothing.
    """
    user, group = os.geteuid(), os.getegid()
    _, _, saved = os.getresuid()
    if user == 0 or saved != 0 or os.access(directory, os.W_OK, effective_ids=True):
        yield
        return
    os.seteuid(0)
    os.setegid(0)
    try:
        yield
    finally:
        os.setegid(group)
        os.seteuid(user)
