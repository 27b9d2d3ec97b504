"""`add org:OWNER` and `remove org:OWNER`: all repositories of an owner that fit."""

from __future__ import annotations

import shlex
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from syncer.cli import documents
from syncer.cli.asking import kinds
from syncer.cli.editing import diff_of, edit_file, print_diff
from syncer.cli.render import printable, table
from syncer.cli.session import event
from syncer.errors import ConfigError, NotFound, SyncerError, UnknownMirror
from syncer.model.origin import Discovery, OwnerSelection
from syncer.model.selection import belongs
from syncer.units import plural, size
from syncer.wanted import Owner

if TYPE_CHECKING:
    from collections.abc import Iterable

    from syncer.cli.editing import Change
    from syncer.cli.output import Output
    from syncer.cli.session import Session
    from syncer.config import Config
    from syncer.model.names import OwnerName
    from syncer.model.origin import Facts
    from syncer.ports import ForgeApi

    Keys = dict[str, Any]

#: What leaves nothing out, to try one criterion after the other with.
_ALL = OwnerSelection(forks=True, visibility="all")


class Fitting(NamedTuple):
    """What an owner has: the repositories that fit, and why others do not."""

    repositories: list[Facts]
    left_out: Counter[str]

    @property
    def size(self) -> int:
        """Bytes of git, as upstream counts them."""
        return sum(facts.size for facts in self.repositories)


def fitting(found: Iterable[Facts], selection: OwnerSelection) -> Fitting:
    """Return which of an owner's repositories are mirrored, by name."""
    fit, left = [], Counter[str]()
    for facts in sorted(found, key=lambda each: each.name.identity):
        reason = misfit(facts, selection)
        if reason is None:
            fit.append(facts)
        else:
            left[reason] += 1
    return Fitting(fit, left)


def misfit(facts: Facts, wanted: OwnerSelection) -> str | None:
    """Return the first criterion that leaves a repository out, None if it fits."""
    criteria = {
        "disabled": _ALL,
        "name": replace(_ALL, include=wanted.include, exclude=wanted.exclude),
        "fork": replace(_ALL, forks=wanted.forks),
        "archived": replace(_ALL, archived=wanted.archived),
        "visibility": replace(_ALL, visibility=wanted.visibility),
        "topics": replace(_ALL, topics=wanted.topics),
        "language": replace(_ALL, languages=wanted.languages),
    }
    return next((why for why, one in criteria.items() if not belongs(facts, one)), None)


def plan(session: Session, name: OwnerName, keys: Keys, *, as_json: bool) -> int:
    """Show what would be mirrored of an owner, and how the file would change."""
    out, config, path = session.output, session.look(), session.path()
    listed = config.find_owner(name)
    owner = listed if listed is not None and not keys else _owner(name, keys)
    with session.app(for_good=False, reconcile=False) as app:
        _check_api(app.world.api, name)
        found = fitting(_owned(app.world.api, name), owner.owner_selection)
    diff = [] if owner is listed else diff_of(path, _addition(name, keys))
    if as_json:
        out.document("add-plan", _document(name, found, config, diff))
        return 0
    for line in lines_of(found, config):
        out.data(line)
    for line in diff:
        out.data(line)
    out.next("syncer sync" if owner is listed else _command(name, keys))
    return 0


def lines_of(found: Fitting, config: Config) -> list[str]:
    """Return what would be mirrored, with a total and what is left out."""
    rows = [
        (
            facts.name.short,
            facts.licence or "none",
            size(facts.size),
            ", ".join([*kinds(facts), *_listed(facts, config)]),
        )
        for facts in found.repositories
    ]
    headers = ("REPOSITORY", "LICENCE", "SIZE", "NOTE")
    return [*(table(headers, rows, right=("SIZE",)) if rows else []), *_totals(found)]


def _listed(facts: Facts, config: Config) -> list[str]:
    known = config.find(facts.name)
    return [] if known is None else ["listed itself: its own entry holds"]


def _totals(found: Fitting) -> list[str]:
    count = plural(len(found.repositories), "repository", "repositories")
    total = f"{count}, {size(found.size)} of git by upstream's count"
    left = ", ".join(f"{n:,} by {why}" for why, n in found.left_out.most_common())
    return [total, *([f"left out: {left}"] if left else [])]


def add(session: Session, name: OwnerName, keys: Keys, *, no_check: bool) -> int:
    """List an owner in `repos.toml`, and mirror what it has from now on."""
    out, path = session.output, session.path()
    if session.look().find_owner(name) is not None:
        out.say(f"org:{name} is listed already")
        out.next(f"syncer add org:{name} --dry-run")
        return 0
    owner = _owner(name, keys)
    with session.app(for_good=False) as app:
        api, releases, now = app.world.api, app.world.releases, app.clock.now()
        _check_api(api, name)
        found = None if no_check else _asked(out, api, name)
        if found is not None:
            seen = [Discovery(name.identity, facts, now) for facts in found]
            releases.discovered(name.identity, seen, (), now)
        try:
            edit_file(session, app, path, _addition(name, keys))
        except BaseException:
            releases.forget_owner(name.identity)
            raise
        app.catalog.audit(event(app, "add", f"org:{name}", _options(keys)))
    out.say(f"Added to {path}: [[owner]] {name}")
    if found is not None:
        for line in _totals(fitting(found, owner.owner_selection)):
            out.say(line)
    out.next("syncer sync")
    return 0


def remove(session: Session, name: OwnerName, *, dry_run: bool) -> None:
    """Take an owner off the list; what was mirrored is kept."""
    from syncer.catalog import repos_file

    out, config, path = session.output, session.look(), session.path()
    if config.find_owner(name) is None:
        known = ", ".join(f"org:{owner.name}" for owner in config.owner)
        msg = f"org:{name} is not listed; nothing was changed"
        raise UnknownMirror(msg, hint=f"listed: {known}" if known else None)

    def change(text: str) -> str:
        return repos_file.remove_owner(text, name)

    if dry_run:
        print_diff(out, path, change)
        return
    with session.app(for_good=False) as app:
        before = len(app.config.repo)
        edit_file(session, app, path, change)
        app.world.releases.forget_owner(name.identity)
        app.catalog.audit(event(app, "remove", f"org:{name}"))
        gone = before - len(app.config.repo)
    what = plural(gone, "repository is", "repositories are")
    out.say(f"org:{name} is not listed any more: {what} not mirrored from now on")
    out.say("their copies are kept, and so is what is listed itself")
    out.next("syncer list", f"syncer add org:{name}")


def _owner(name: OwnerName, keys: Keys) -> Owner:
    """Return the entry as the configuration would read it."""
    try:
        return Owner.model_validate({"name": name, **keys})
    except ValueError as exc:
        msg = f"org:{name} cannot be listed so; nothing was changed"
        raise ConfigError(msg, problems=tuple(str(exc).splitlines())) from None


def _addition(name: OwnerName, keys: Keys) -> Change:
    from syncer.catalog import repos_file

    return lambda text: repos_file.add_owner(text, name, keys)


def _check_api(api: ForgeApi, name: OwnerName) -> None:
    if not api.serves(name.host):
        msg = f"no API of {name.host} is known to tell of {name}; nothing was changed"
        hint = f'in repos.toml: [host."{name.host}"] api = "https://..."'
        raise ConfigError(msg, hint=hint)


def _owned(api: ForgeApi, name: OwnerName) -> list[Facts]:
    try:
        return api.owned(name.host, name.owner)
    except NotFound:
        msg = f"upstream does not show an owner {name}; nothing was changed"
        hint = "check the spelling; for tokens: syncer help environment"
        raise NotFound(msg, hint=hint) from None


def _asked(out: Output, api: ForgeApi, name: OwnerName) -> list[Facts] | None:
    """Return what an owner has, None if the API cannot say just now."""
    try:
        return _owned(api, name)
    except NotFound:
        raise
    except SyncerError as exc:
        out.warn(f"what {name} has is not known yet: {exc}")
        return None


def _options(keys: Keys) -> str:
    """Return keys as the options that they came from."""
    flags = {"archived": "--no-archived", "forks": "--forks"}
    names = {"topics": "topic", "languages": "language"}
    words: list[str] = []
    for key, value in keys.items():
        if key in flags:
            words.append(flags[key])
            continue
        for each in value if isinstance(value, list) else [value]:
            words += [f"--{names.get(key, key)}", shlex.quote(str(each))]
    return " ".join(words)


def _command(name: OwnerName, keys: Keys) -> str:
    return f"syncer add org:{name} {_options(keys)}".rstrip()


def _document(
    name: OwnerName, found: Fitting, config: Config, diff: list[str]
) -> dict[str, object]:
    return {
        "owner": str(name),
        "host": name.host,
        "repositories": [
            {**documents.facts(each), "listed": config.find(each.name) is not None}
            for each in found.repositories
        ],
        "size_bytes": found.size,
        "left_out": dict(found.left_out),
        "diff": [printable(line) for line in diff],
    }
