"""D16: the service, as systemd's files describe it; see systemd.unit(5).

Files are read and nobody is asked, so that it works in a rescue shell as well.
"""

from __future__ import annotations

import pwd
import shlex
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from syncer.doctor.filesystem import places
from syncer.doctor.findings import doubtful, fine, or_fine, unseen, wrong

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from syncer.config import Config
    from syncer.doctor.findings import Finding
    from syncer.doctor.site import Site

SERVICE = "syncer.service"
TIMERS = ("syncer-verify.timer", "syncer-report.timer")
#: Where administrators put units, and where packages do.
ADMIN = "/etc/systemd/system"
SHIPPED = ("/usr/lib/systemd/system", "/lib/systemd/system")
CREDENTIALS = "/etc/syncer/credentials"
_EDIT = "systemctl edit syncer"
_OTHERS = 0o077
_HOMES = ("/home", "/root", "/run/user")
_TEMPORARY = ("/tmp", "/var/tmp")  # noqa: S108 - compared with, not written to


def settings(*texts: str) -> dict[str, list[str]]:
    """Return what unit files and their drop-ins set, in their order.

    An empty value takes back what was set before, as systemd does.
    """
    found: dict[str, list[str]] = defaultdict(list)
    for text in texts:
        for line in text.replace("\\\n", " ").splitlines():
            key, equals, value = line.strip().partition("=")
            if not equals or key.startswith(("#", ";")):
                continue
            if value.strip():
                found[key.strip()].append(value.strip())
            else:
                found[key.strip()].clear()
    return found


def unit(site: Site) -> list[Finding]:
    """Look at the unit, its drop-ins, timers and credentials."""
    if not site.file("/run/systemd/system").is_dir():
        return [unseen("systemd does not run here"), *_secrets(site)]
    shipped = next((f"{d}/{SERVICE}" for d in SHIPPED if _is(site, d)), None)
    own = f"{ADMIN}/{SERVICE}"
    used = own if site.file(own).is_file() else shipped
    if used is None:
        text = f"there is no {SERVICE}: nothing starts the daemon after a boot"
        return [doubtful(text, "install the Debian package, or see operate.md")]
    found = []
    if used == own and shipped and site.text(own) != site.text(shipped):
        text = f"{own} hides the unit that was installed, and differs from it"
        found.append(doubtful(text, f"remove it, and use {_EDIT}"))
    drops = site.file(f"{used}.d"), site.file(f"{ADMIN}/{SERVICE}.d")
    files = [f for d in dict.fromkeys(drops) if d.is_dir() for f in d.glob("*.conf")]
    texts = [f.read_text("utf-8", "replace") for f in sorted(files)]
    told = settings(site.text(used), *texts)
    if site.settings is not None:
        found += sandbox(told, site.settings)
    found += _started(site, told)
    found += _secrets(site)
    return or_fine(found, f"{used} reaches the store, and is enabled")


def _is(site: Site, directory: str) -> bool:
    return site.file(f"{directory}/{SERVICE}").is_file()


def sandbox(told: Mapping[str, list[str]], config: Config) -> Iterator[Finding]:
    """Look whether the unit lets the daemon read and write where it has to."""
    state = [f"/var/lib/{name}" for name in _words(told, "StateDirectory")]
    writable = [Path(p.lstrip("-+")) for p in _words(told, "ReadWritePaths")]
    writable += map(Path, state)
    seen: list[Path] = []
    for what, place in sorted(places(config).items(), key=lambda e: len(e[1].parts)):
        if any(place.is_relative_to(each) for each in seen):
            continue  # it is part of another one
        seen.append(place)
        if _last(told, "ProtectHome") == "yes" and _below(place, _HOMES):
            text = f"the {what} at {place} is hidden from the service (ProtectHome)"
            yield wrong(text, "move it, /srv/mirror for one")
        elif _last(told, "PrivateTmp") == "yes" and _below(place, _TEMPORARY):
            text = f"the {what} at {place} is another directory for the service"
            yield wrong(text, "move it: PrivateTmp gives it a /tmp of its own")
        elif _last(told, "ProtectSystem") == "strict" and not any(
            place.is_relative_to(each) for each in writable
        ):
            text = f"the service may not write to the {what} at {place}"
            yield wrong(text, f"{_EDIT}: [Service] ReadWritePaths={place}")
    command = shlex.split(_last(told, "ExecStart"))
    named = command[command.index("--config") + 1 :] if "--config" in command else []
    if named and config.path and Path(named[0]) != config.path.resolve():
        text = f"the service reads {named[0]}, and this is about {config.path}"
        yield doubtful(text, f"syncer --config {named[0]} doctor")
    user = _last(told, "User")
    if user and config.data.exists():
        with suppress(KeyError):
            owner = pwd.getpwuid(config.data.stat().st_uid).pw_name
            if owner != user:
                text = f"the service runs as {user}, and the store is {owner}'s"
                yield wrong(text, f"chown -R {user}: {config.data}")


def _started(site: Site, told: Mapping[str, list[str]]) -> Iterator[Finding]:
    """Look whether it starts at boot, and is watched."""
    if _last(told, "WatchdogSec") in {"", "0"}:
        text = "a daemon that hangs is not started again: no watchdog"
        yield doubtful(text, f"{_EDIT}: [Service] WatchdogSec=60")
    if not site.file(f"{ADMIN}/multi-user.target.wants/{SERVICE}").is_symlink():
        yield doubtful("nothing starts it at boot", "systemctl enable syncer")
    for timer in TIMERS:
        if not site.file(f"{ADMIN}/timers.target.wants/{timer}").is_symlink():
            yield doubtful(f"{timer} is off", f"systemctl enable --now {timer}")


def _secrets(site: Site) -> Iterator[Finding]:
    """Look who may read the credentials."""
    place = site.file(CREDENTIALS)
    try:
        found = [place, *place.iterdir()]
        modes = {each: each.stat().st_mode for each in found}
    except PermissionError:
        yield unseen(f"{CREDENTIALS} is closed to us", "run it as root")
        return
    except OSError:
        return  # there are none: secrets come from elsewhere
    opened = [each for each, mode in modes.items() if mode & _OTHERS]
    if opened:
        text = f"{opened[0]} may be read by others than root"
        yield wrong(text, f"chmod -R go= {CREDENTIALS}")
    elif site.settings is None:
        yield fine(f"{CREDENTIALS} is root's alone")


def _words(told: Mapping[str, list[str]], key: str) -> list[str]:
    return [word for value in told.get(key, ()) for word in value.split()]


def _last(told: Mapping[str, list[str]], key: str) -> str:
    values = told.get(key) or [""]
    return values[-1]


def _below(place: Path, parents: tuple[str, ...]) -> bool:
    return any(place.is_relative_to(parent) for parent in parents)
