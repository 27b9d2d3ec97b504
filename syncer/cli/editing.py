"""How a command changes `repos.toml`, and the catalog with it."""

from __future__ import annotations

from difflib import unified_diff
from typing import TYPE_CHECKING

from syncer.cli.owner import acting_for
from syncer.cli.render import printable
from syncer.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from syncer.bootstrap import App
    from syncer.cli.output import Output
    from syncer.cli.session import Session

    Change = Callable[[str], str]


def edit_file(session: Session, app: App, path: Path, change: Change) -> None:
    """Change the file and the catalog; if that fails the file is as it was."""
    from syncer.catalog import text_file

    before: list[str] = []

    def checked(text: str) -> str:
        before.append(text)
        return change(text)

    directory = path.resolve().parent
    with acting_for(directory):
        text_file.edit(path, checked)
    after = change(before[0])
    try:
        with acting_for(directory):
            app.config = session.look()
        app.reconcile()
    except BaseException:
        with acting_for(directory):
            text_file.edit(path, lambda text: before[0] if text == after else text)
        raise


def print_diff(out: Output, path: Path, change: Change) -> None:
    """Print how a change would alter the file."""
    for line in diff_of(path, change):
        out.data(line)


def diff_of(path: Path, change: Change) -> list[str]:
    """Return how a change would alter the file, as `diff -u` tells it."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as exc:
        msg = f"{path} cannot be read: {exc.strerror}"
        raise ConfigError(msg) from None
    lines = unified_diff(
        text.splitlines(), change(text).splitlines(), str(path), str(path), lineterm=""
    )
    return [printable(line) for line in lines]
