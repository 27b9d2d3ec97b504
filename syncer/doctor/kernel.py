"""D14: what the kernel allows on long links, and how many files and threads.

Documentation/networking/ip-sysctl.rst of the kernel's source; proc(5).
"""

from __future__ import annotations

import re
import resource
from datetime import timedelta
from typing import TYPE_CHECKING

from syncer.doctor.findings import doubtful, or_fine, wrong
from syncer.units import size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from syncer.config import Config
    from syncer.doctor.findings import Finding
    from syncer.doctor.site import Site

_IPV4 = "/proc/sys/net/ipv4"
#: A link that is long: from one continent to another.
ROUND_TRIP = timedelta(milliseconds=200)
#: Bytes a second that one connection should be able to carry over it.
PACE = 50 << 20
#: About half of the memory of a socket is room for bytes (tcp_adv_win_scale).
_OVERHEAD = 2
_FILE = "/etc/sysctl.d/90-syncer.conf, then sysctl --system"
_LEAST_BACKLOG = 128
#: Descriptors and threads of a process beside those that are reckoned.
_SPARE = 128
#: Descriptors of one run: pipes of git's, packs, locks.
_OF_RUN = 16


def kernel(site: Site) -> list[Finding]:
    """Look at the settings that matter to a mirror far away from its upstream."""
    found = [*_congestion(site), *_windows(site), *_backlog(site), *_limits(site)]
    control = site.text(f"{_IPV4}/tcp_congestion_control") or "unknown"
    return or_fine(found, f"congestion control {control}, windows and limits suffice")


def _congestion(site: Site) -> Iterator[Finding]:
    control = site.text(f"{_IPV4}/tcp_congestion_control")
    if control in {"", "bbr"}:
        return
    able = "bbr" in site.text(f"{_IPV4}/tcp_available_congestion_control").split()
    text = (
        f"congestion control is {control}: what is sent over long links that lose "
        "packets is far slower than with bbr"
    )
    load = "" if able else "modprobe tcp_bbr; "
    keys = "net.core.default_qdisc=fq, net.ipv4.tcp_congestion_control=bbr"
    yield doubtful(text, f"{load}{keys} in {_FILE}")


def _windows(site: Site) -> Iterator[Finding]:
    """Look what one connection can carry over a long link."""
    if site.text(f"{_IPV4}/tcp_window_scaling") == "0":
        text = "window scaling is off: a connection carries 64 KiB a round trip"
        yield wrong(text, f"net.ipv4.tcp_window_scaling=1 in {_FILE}")
    wanted = int(PACE * ROUND_TRIP.total_seconds()) * _OVERHEAD
    ways = {"tcp_rmem": "receives", "tcp_wmem": "sends"}
    for key, verb in ways.items():
        numbers = site.text(f"{_IPV4}/{key}").split()
        most = int(numbers[-1]) if numbers and numbers[-1].isdecimal() else wanted
        if most < wanted:
            pace = size(most / _OVERHEAD / ROUND_TRIP.total_seconds())
            text = (
                f"{key} is {size(most)} at most: over a link of 200 ms one "
                f"connection {verb} about {pace} a second"
            )
            kept = " ".join(numbers[:-1])
            yield doubtful(text, f"net.ipv4.{key}={kept} {wanted} in {_FILE}")


def _backlog(site: Site) -> Iterator[Finding]:
    found = site.text("/proc/sys/net/core/somaxconn")
    if found.isdecimal() and int(found) < _LEAST_BACKLOG:
        text = f"somaxconn is {found}: readers of the HTTP face are turned away"
        yield doubtful(text, f"net.core.somaxconn=4096 in {_FILE}")


def needs(config: Config) -> tuple[int, int]:
    """Return the descriptors and threads that a daemon takes at most, about."""
    hosts = [config.target_host(name) for name in config.hosts]
    connections = sum(host.connections for host in hosts)
    syncer = config.syncer
    files = connections + syncer.transfers * 3 + syncer.workers * _OF_RUN + _SPARE
    threads = connections * 2 + syncer.transfers * 2 + syncer.workers * 2 + _SPARE
    return files, threads


def _limits(site: Site) -> Iterator[Finding]:
    """Look at the limits of the daemon, or at ours where none runs."""
    if site.settings is None:
        return
    files, threads = needs(site.settings)
    process = site.daemon()
    who = "the daemon" if process else "a process started here"
    allowed = _allowed(site, process)
    asked = {"open files": (files, "LimitNOFILE"), "processes": (threads, "LimitNPROC")}
    for what, (needed, key) in asked.items():
        most = allowed.get(what)
        if most is not None and most < needed:
            text = f"{who} may have {most:,} {what}, and takes up to {needed:,}"
            yield doubtful(text, f"{key}= in the unit, or ulimit in the shell")


def _allowed(site: Site, process: int | None) -> dict[str, int]:
    """Return the soft limits of a process; one that is not there is unlimited."""
    text = site.text(f"/proc/{process}/limits") if process else ""
    if text:
        found = re.findall(r"^Max (open files|processes) +(\d+) ", text, re.MULTILINE)
        return {what: int(most) for what, most in found}
    ours = {
        "open files": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        "processes": resource.getrlimit(resource.RLIMIT_NPROC)[0],
    }
    return {k: most for k, most in ours.items() if most != resource.RLIM_INFINITY}
