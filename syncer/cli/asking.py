"""What upstream says of repositories that are about to be mirrored."""

from __future__ import annotations

from typing import TYPE_CHECKING

from syncer.cli.render import printable
from syncer.errors import AccessDenied, Blocked, NotFound, SyncerError
from syncer.model.content import DEFAULT_SCOPE
from syncer.units import plural, size

if TYPE_CHECKING:
    from syncer.cli.output import Output
    from syncer.model.content import RefSnapshot
    from syncer.model.names import RepoName
    from syncer.model.origin import Facts
    from syncer.ports import Forge, ForgeApi

_REFUSED = "it does not exist, or is private and no token may see it"


class Asker:
    """Asks whether repositories are there; `failed` has a status for each that is not.

    The API comes first where the host has one: it knows the name of today, and git
    follows no redirect.
    """

    def __init__(self, out: Output, forge: Forge, api: ForgeApi) -> None:
        self._out = out
        self._forge = forge
        self._api = api
        self.failed: list[int] = []

    def __call__(self, name: RepoName) -> RepoName:
        """Tell what upstream has under a name; return how upstream spells it."""
        try:
            facts = self._described(name)
            found = name if facts is None else facts.name
            if found.identity != name.identity:
                self._out.say(f"{name} has moved upstream: it is {found} now")
            refs = self._forge.probe(found, DEFAULT_SCOPE).read()
        except SyncerError as exc:
            self._tell_refused(name, exc)
            self.failed.append(exc.exit_code)
            return name
        told = [words_of_refs(refs), *([] if facts is None else [words_of(facts)])]
        self._out.say(f"{found} ... found: {'; '.join(told)}")
        return found

    def _described(self, name: RepoName) -> Facts | None:
        """Return what the API says, None if there is none or it cannot say."""
        if not self._api.serves(name.host):
            return None
        try:
            return self._api.describe(name).facts
        except (NotFound, Blocked):
            raise
        except SyncerError as exc:
            self._out.warn(f"the API of {name.host} does not tell of {name}: {exc}")
            return None

    def _tell_refused(self, name: RepoName, exc: SyncerError) -> None:
        out = self._out
        if isinstance(exc, (NotFound, AccessDenied)):
            out.error(f"upstream does not show {name}: {_REFUSED}; nothing was changed")
            out.hint("check the spelling; for tokens: syncer help environment")
            return
        said = str(exc)
        end = "" if "nothing was changed" in said else "; nothing was changed"
        out.error(f"{said}{end}")
        out.hint(exc.hint)
        if isinstance(exc, Blocked) and exc.notice:
            out.hint(f"the notice: {exc.notice}")


def words_of_refs(refs: RefSnapshot) -> str:
    """Return `3 branches, 2 tags, default branch main`."""
    if not refs.refs:
        return "it is empty"
    kinds = [ref.split("/")[1] for ref in refs.refs]
    branches = plural(kinds.count("heads"), "branch", "branches")
    tags = plural(kinds.count("tags"), "tag")
    head = printable((refs.head or "none").removeprefix("refs/heads/"))
    return f"{branches}, {tags}, default branch {head}"


def words_of(facts: Facts) -> str:
    """Return `licence Apache-2.0, archived, fork, 12.0 MiB`."""
    parts = [licence(facts.licence), *kinds(facts)]
    if facts.size:
        parts.append(size(facts.size))
    return ", ".join(parts)


def kinds(facts: Facts) -> list[str]:
    """Return what is unusual about a repository."""
    found = [
        (facts.private, "private"),
        (facts.archived, "archived"),
        (facts.disabled, "disabled by its host"),
        (facts.fork, "fork"),
    ]
    return [word for is_so, word in found if is_so]


def licence(spdx: str | None) -> str:
    """Return a licence as people read it; upstream's word for an odd one is none."""
    if spdx is None:
        return "no licence"
    if spdx == "NOASSERTION":
        return "a licence that is not recognised"
    return f"licence {printable(spdx)}"
