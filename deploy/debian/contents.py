"""What the Debian package holds beside the virtual environment, and where.

A table rather than a script, so that what is installed can be read, and tested
without building anything.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]

_PROGRAM = 0o755
_FILE = 0o644


class Rule(NamedTuple):
    """Files of the checkout by glob, and the directory that they go into."""

    pattern: str
    directory: str
    mode: int = _FILE
    #: The name there; None is the one here.
    name: str | None = None
    #: How many levels above the file its path below `directory` begins.
    kept: int = 0


class Placed(NamedTuple):
    """One file: where it comes from, where it goes (absolute), and its mode."""

    source: Path
    target: str
    mode: int


RULES = (
    Rule("deploy/debian/syncer", "/usr/bin", _PROGRAM),
    # Not for everybody: addresses of internal hosts may stand in it.
    Rule("deploy/debian/repos.toml", "/etc/syncer", 0o640),
    Rule("deploy/systemd/*.service", "/lib/systemd/system"),
    Rule("deploy/systemd/*.timer", "/lib/systemd/system"),
    Rule("deploy/systemd/sysusers.d/syncer.conf", "/usr/lib/sysusers.d"),
    Rule("deploy/systemd/tmpfiles.d/syncer.conf", "/usr/lib/tmpfiles.d"),
    Rule("deploy/prometheus/prometheus.yml", "/usr/share/syncer/prometheus"),
    Rule("deploy/prometheus/syncer.rules.yml", "/usr/share/syncer/prometheus"),
    Rule("deploy/grafana/dashboards/*.json", "/usr/share/syncer/grafana/dashboards"),
    Rule(
        "deploy/grafana/provisioning/*/*.yaml",
        "/usr/share/syncer/grafana/provisioning",
        kept=1,
    ),
    Rule("deploy/debian/stress", "/usr/share/syncer", _PROGRAM),
    Rule("deploy/stress/*.py", "/usr/share/syncer/deploy", kept=1),
    Rule("repos.toml", "/usr/share/doc/syncer/examples"),
    Rule("docs/*.md", "/usr/share/doc/syncer"),
    Rule("deploy/debian/copyright", "/usr/share/doc/syncer"),
    Rule(
        "deploy/debian/lintian-overrides", "/usr/share/lintian/overrides", name="syncer"
    ),
)

#: What an administrator edits; dpkg never replaces an edited one unasked.
CONFFILES = ("/etc/syncer/repos.toml",)

#: Run by dpkg as root (Debian Policy, chapter 6).
SCRIPTS = ("preinst", "postinst", "prerm", "postrm")


def placed(root: Path = ROOT) -> Iterator[Placed]:
    """Yield every file that the rules put into the package.

    Raises:
        FileNotFoundError: a rule matches nothing: something was moved.
    """
    for rule in RULES:
        found = sorted(root.glob(rule.pattern))
        if not found:
            msg = f"nothing matches {rule.pattern}, which belongs into the package"
            raise FileNotFoundError(msg)
        for source in found:
            inside = source.relative_to(source.parents[rule.kept])
            name = rule.name or str(inside)
            yield Placed(source, f"{rule.directory}/{name}", rule.mode)
