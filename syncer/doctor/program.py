"""D01 the programs we run on, D03 what they were told."""

from __future__ import annotations

import platform
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING

import syncer
from syncer.doctor.findings import doubtful, fine, some, wrong
from syncer.errors import ConfigError, NotInitialised
from syncer.git import version
from syncer.git.command import GitCommand

if TYPE_CHECKING:
    from collections.abc import Iterator

    from syncer.doctor.findings import Finding
    from syncer.doctor.site import Site

_PYTHON = (3, 11)


def programs(site: Site) -> Iterator[Finding]:
    """Look at Python, git and what is optional but configured."""
    if sys.version_info < _PYTHON:
        text = f"Python {platform.python_version()} is older than 3.11"
        yield wrong(text, "install a newer Python")
    program = "git" if site.settings is None else site.settings.syncer.git
    found = version.check(GitCommand(program, stop=site.stop))
    python = platform.python_version()
    yield fine(f"syncer {syncer.__version__}, Python {python}, git {found}")
    yield from _extras(site)


def _extras(site: Site) -> Iterator[Finding]:
    if site.settings is None:
        return
    hosts = site.settings.host.values()
    uses = {
        "jwt": ("github-app", any(host.app_id is not None for host in hosts)),
        "procrastinate": ("cluster", site.settings.is_cluster),
    }
    for module, (extra, used) in uses.items():
        if used and find_spec(module) is None:
            text = f"what is configured needs the extra `{extra}`"
            yield wrong(text, f'pip install "syncer[{extra}]"')


def configuration(site: Site) -> Iterator[Finding]:
    """Read everything that was configured, secrets included."""
    if site.settings is None:
        problem = site.problem or ConfigError("there is no configuration")
        problems = "; ".join(getattr(problem, "problems", ()))
        text = f"{problem}: {problems}" if problems else str(problem)
        absent = isinstance(problem, NotInitialised)
        fix = "syncer init" if absent else "syncer config validate"
        yield wrong(text, problem.hint or fix)
        return
    config = site.settings
    config.secrets()
    if config.alert:
        from syncer.notify.channels import opened  # noqa: PLC0415 - brings apprise

        opened(config.alert)
    slow = {
        name: tier for name, tier in config.tier.items() if tier.interval > tier.target
    }
    for name in slow:
        text = f"tier {name} is asked for less often than its target allows"
        yield doubtful(text, f"[tier.{name}] interval below its target")
    if not slow:
        mirrors = some(len(config.repo), "mirror")
        if config.owner:
            mirrors += f", {some(len(config.owner), 'owner')}"
        yield fine(f"{config.path}: {mirrors}, tiers {', '.join(sorted(config.tier))}")
