"""What the checks of `doctor` make of a machine, each as a fact by itself."""

from __future__ import annotations

import os
import socket
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from syncer.config import load
from syncer.doctor import (
    bench_disk,
    budgets,
    clock,
    exports,
    filesystem,
    hosts,
    kernel,
    mounts,
    plaintext,
    program,
    proxy,
    records,
    units,
)
from syncer.doctor.checks import CHECKS
from syncer.doctor.examination import Check, Needs, examine
from syncer.doctor.findings import Finding, Level, fine
from syncer.doctor.measuring import Figure, rate
from syncer.doctor.site import Site
from syncer.errors import ConfigError, Interrupted, NotInitialised, Unavailable
from syncer.model.incidents import Kind
from syncer.model.machines import Machine, Role
from syncer.model.mirrors import RepoState
from syncer.model.names import RepoName

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from syncer.config import Config

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
UNIT = Path(__file__).parents[2] / "deploy" / "systemd" / "syncer.service"
SECRET = "hunter22-long"  # noqa: S105 - nobody's


def configured(place: Path, text: str = "", **environ: str) -> Config:
    """Return a configuration that a file below `place` has."""
    file = place / "repos.toml"
    file.write_text(text)
    return load(file, environ)


def site(place: Path, text: str = "", files: dict[str, str] | None = None) -> Site:
    """Return an installation on a machine that has only these files."""
    system = place / "system"
    for name, content in (files or {}).items():
        path = system / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return Site(configured(place, text), system=system)


def texts(found: Iterable[Finding], level: Level) -> list[str]:
    """Return what was found of a level."""
    return [each.text for each in found if each.level is level]


def test_a_code_is_one_check_and_every_check_is_explained() -> None:
    """Codes are unique and in order: a runbook can name them."""
    codes = [check.code for check in CHECKS]
    assert codes == sorted(set(codes))
    assert all(check.docs == f"runbook.md#{check.code.lower()}" for check in CHECKS)


def test_one_check_that_hangs_or_breaks_holds_up_no_other(tmp_path: Path) -> None:
    """It ends within its time, in words; what it raised is no trace."""
    hanging = threading.Event()

    def hang(_: Site) -> list[Finding]:
        hanging.wait(20)
        return []

    def breaks(_: Site) -> list[Finding]:
        msg = "no such thing"
        raise KeyError(msg)

    def denied(_: Site) -> list[Finding]:
        raise PermissionError(13, "Permission denied", "/etc/secret")

    def away(_: Site) -> list[Finding]:
        msg = "it did not answer"
        raise Unavailable(msg, hint="wait")

    looks = {"D1": hang, "D2": breaks, "D3": denied, "D4": away}
    checks = [Check(code, "a disk", look) for code, look in looks.items()]
    checks.append(Check("D5", "", lambda _: [fine("well")]))
    began = time.monotonic()
    found = examine(checks, site(tmp_path), deadline=0.3)
    assert time.monotonic() - began < 5
    hanging.set()
    told = {each.check.code: each.findings[0] for each in found}
    assert told["D1"].text == "a disk: no answer within 0 s"
    assert "a defect in this check: KeyError" in told["D2"].text
    assert told["D3"].text.endswith("Permission denied (/etc/secret)")
    assert told["D4"] == Finding(Level.FAIL, "it did not answer", "wait")
    assert told["D5"].level is Level.OK


def test_what_cannot_be_looked_at_says_why(tmp_path: Path) -> None:
    """Without a configuration, a catalog, or leave to ask, a check is skipped."""
    stored = Needs.CONFIG | Needs.CATALOG
    checks = [
        Check("D1", "", lambda _: [fine("x")], Needs.NOTHING),
        Check("D2", "", lambda _: [fine("x")], Needs.CONFIG),
        Check("D3", "", lambda _: [fine("x")], stored),
        Check("D4", "", lambda _: [fine("x")], Needs.CONFIG | Needs.OUTSIDE),
    ]
    broken = examine(checks, Site(None, ConfigError("wrong")))
    assert [each.findings[0].level for each in broken[:2]] == [Level.OK, Level.SKIP]
    assert "see D03" in broken[1].findings[0].text
    here = site(tmp_path)
    here.offline = True
    offline = examine(checks, here)
    assert "see D04" in offline[2].findings[0].text
    assert "--offline" in offline[3].findings[0].text
    assert not (tmp_path / "mirror").exists()


def test_a_broken_configuration_is_a_finding_with_all_its_problems() -> None:
    """Every problem is in it; that there is none leads to `init`."""
    problem = ConfigError("it has 2 problems", problems=("line 1: a", "line 2: b"))
    (found,) = program.configuration(Site(None, problem))
    assert found.level is Level.FAIL
    assert "line 1: a; line 2: b" in found.text
    (absent,) = program.configuration(Site(None, NotInitialised("there is none")))
    assert absent.fix == "syncer init"


def test_a_clock_is_held_against_answers() -> None:
    """A date has whole seconds and the way takes time: both are allowed for."""
    told = clock.offset(NOW, NOW, NOW + timedelta(seconds=1))
    assert (told.seconds, told.within) == (0.0, 1.0)
    late = clock.offset(NOW - timedelta(seconds=30), NOW, NOW)
    assert late.least == pytest.approx(29.0)
    assert clock.judged([("a", told)]).level is Level.OK
    assert clock.judged([("a", late)]).level is Level.WARN
    assert "30 s ahead of that of a" in clock.judged([("a", late)]).text
    hours = clock.offset(NOW + timedelta(hours=1), NOW, NOW)
    assert clock.judged([("a", hours)]).level is Level.FAIL
    # One wrong server of three does not make ours wrong.
    assert clock.judged([("a", told), ("b", hours), ("c", told)]).level is Level.OK


def test_a_clock_that_is_kept_is_known_by_its_file(tmp_path: Path) -> None:
    """systemd-timesyncd leaves one; without it the kernel is asked."""
    kept = site(tmp_path, files={"/run/systemd/timesync/synchronized": ""})
    assert clock.is_kept(kept) is True
    assert clock.is_kept(site(tmp_path / "system")) in {True, False, None}


MOUNTS = r"""
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,errors=remount-ro
30 22 0:30 / /srv/a\040b rw - nfs4 nas:/x rw,soft,nolock,vers=4.2
31 22 0:31 / /run rw,nosuid - tmpfs tmpfs rw,size=1g
32 22 0:32 / /ro ro - vfat /dev/sdb1 rw
too short
"""


def test_a_path_is_on_the_innermost_mount() -> None:
    """Names with blanks are read; broken lines are left out."""
    found = mounts.parse(MOUNTS)
    assert len(found) == 4
    inside = mounts.of(Path("/srv/a b/mirror"), found)
    assert inside is not None
    assert (inside.kind, inside.source) == ("nfs4", "nas:/x")
    root = mounts.of(Path("/srvx"), found)
    assert root is not None
    assert root.kind == "ext4"


@pytest.mark.parametrize(
    ("path", "level", "words"),
    [
        ("/run/mirror", Level.FAIL, "lost at the next start"),
        ("/srv/a b", Level.FAIL, "mounted with nolock, soft"),
        ("/srv/a b", Level.WARN, "another machine"),
        ("/ro", Level.FAIL, "mounted read-only"),
        ("/ro", Level.FAIL, "has no links"),
    ],
)
def test_a_file_system_that_loses_things_is_named(
    path: str, level: Level, words: str
) -> None:
    """Memory, other machines, and options that take away what fsync promises."""
    place = Path(path)
    mount = mounts.of(place, mounts.parse(MOUNTS))
    found = texts(filesystem.judged(place, mount), level)
    assert any(words in text for text in found), found


def test_a_disk_is_tried_and_left_as_it_was(tmp_path: Path) -> None:
    """Links, locks, renames and fsync work here, and a case-blind one is seen."""
    place = tmp_path / "trial"
    place.mkdir()
    assert list(filesystem.trials(place)) == []
    for each in place.iterdir():
        each.unlink()
    (place / "LINK").touch()
    (found,) = filesystem.trials(place)
    assert "folds case" in found.text
    store = site(tmp_path)
    (tmp_path / "mirror").mkdir()
    assert [each.level for each in filesystem.store(store)] == [Level.OK]
    assert list((tmp_path / "mirror").iterdir()) == []


def test_a_store_that_others_may_write_to_is_told(tmp_path: Path) -> None:
    """So is one that is not there at all."""
    store = site(tmp_path)
    (absent,) = filesystem.store(store)
    assert absent.fix == "syncer init"
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror").chmod(0o777)
    assert texts(filesystem.store(store), Level.WARN) == [
        f"everybody may write to {tmp_path}/mirror"
    ] or texts(filesystem.store(store), Level.FAIL)


def test_too_little_space_stops_what_is_new(tmp_path: Path) -> None:
    """A floor above what is free is a failure, with the figures."""
    (tmp_path / "mirror").mkdir()
    full = site(tmp_path, '[syncer]\nmin_free = "900T"\n')
    (found,) = texts(filesystem.space(full), Level.FAIL)
    assert "below the floor of 900.0 TiB" in found


EXPORTS = """
# comment
/srv/mirror/git  10.0.0.0/8(rw,no_root_squash) \\
   2001:db8::/32(ro)
"/srv/other place" -ro *(sync)  # all
/srv/mirror -ro,all_squash a.corp b.corp
"""


def test_exports_are_read_as_nfs_reads_them() -> None:
    """Continued lines, quotes, defaults and comments."""
    found = exports.parse(EXPORTS)
    told = [(str(each.path), each.client, each.writes) for each in found]
    assert told == [
        ("/srv/mirror/git", "10.0.0.0/8", True),
        ("/srv/mirror/git", "2001:db8::/32", False),
        ("/srv/other place", "*", False),
        ("/srv/mirror", "a.corp", False),
        ("/srv/mirror", "b.corp", False),
    ]
    assert found[0].as_root


def test_a_store_that_is_exported_to_be_written_fails(tmp_path: Path) -> None:
    """And the catalog beside it belongs to no client."""
    (tmp_path / "mirror").mkdir()
    git = f"{tmp_path}/mirror/git"
    assert [e.level for e in exports.nfs(site(tmp_path))] == [Level.OK]
    written = site(tmp_path, files={"/etc/exports": f"{git} *(rw,no_root_squash)\n"})
    found = exports.nfs(written)
    assert any("to be written" in text for text in texts(found, Level.FAIL))
    assert any("no_root_squash" in text for text in texts(found, Level.WARN))
    read = site(tmp_path, files={"/etc/exports": f"{tmp_path}/mirror *(ro)\n"})
    (text,) = texts(exports.nfs(read), Level.WARN)
    assert "with the catalog" in text
    alone = site(tmp_path, files={"/etc/exports": f"{git} *(ro,all_squash)\n"})
    assert [e.level for e in exports.nfs(alone)] == [Level.OK]


def test_a_token_is_known_by_what_comes_with_answers() -> None:
    """Scopes and the end, in both spellings; a fine-grained one has no scopes."""
    headers = {
        "x-oauth-scopes": "repo, admin:org",
        "github-authentication-token-expiration": "2026-11-30 10:00:00 +0200",
    }
    told = hosts.grant(headers)
    assert told.scopes == ("repo", "admin:org")
    assert told.ends == datetime(2026, 11, 30, 8, tzinfo=UTC)
    utc = {"github-authentication-token-expiration": "2027-02-01 00:00:00 UTC"}
    assert hosts.grant(utc) == (None, datetime(2027, 2, 1, tzinfo=UTC))
    assert hosts.grant({"x-oauth-scopes": ""}) == ((), None)
    odd = {"github-authentication-token-expiration": "2027-99-01 00:00:00 UTC"}
    assert hosts.grant(odd) == (None, None)


def test_a_token_that_ends_soon_or_may_write_is_doubted(tmp_path: Path) -> None:
    """One that reads, and lasts, is fine."""
    host = configured(tmp_path, '[[repo]]\nname = "a/b"\n').target_host("github.com")

    def levels(told: hosts.Grant) -> list[Level]:
        return [e.level for e in hosts.judged(host, told, "", "there", NOW)]

    soon, late = NOW + timedelta(days=12), NOW + timedelta(days=90)
    assert levels(hosts.Grant(None, late)) == [Level.OK]
    assert levels(hosts.Grant(("repo", "workflow"), late)) == [Level.WARN]
    (found,) = hosts.judged(host, hosts.Grant(None, soon), "", "there", NOW)
    assert found.text == "github.com: the token expires in 12 days"
    assert found.fix is not None
    assert "there" in found.fix


def test_probes_that_do_not_fit_are_reckoned(tmp_path: Path) -> None:
    """Which targets are missed, and what it would take."""
    text = '[host."github.com"]\nprobes = 0.1\n'
    config = configured(tmp_path, text)
    names = [RepoName.parse(f"acme/w{number}") for number in range(100)]
    states = [RepoState(0, name, name.path, "core") for name in names]
    assert list(budgets.probes(config, "github.com", states[:20])) == []
    (found,) = budgets.probes(config, "github.com", states)
    assert "0.3 probes a second, 0.1 are allowed" in found.text
    assert "3.3 times as long, which misses the targets of core (15m)" in found.text
    assert found.fix is not None
    assert "probes = 1" in found.fix


def test_an_api_that_does_not_fit_says_what_it_would_take(tmp_path: Path) -> None:
    """A token where that is enough, longer intervals where it is not."""
    config = configured(tmp_path, '[[repo]]\nname = "acme/w0"\n')
    names = [RepoName.parse(f"acme/w{number}") for number in range(1000)]
    states = [RepoState(0, name, name.path, "core") for name in names]
    assert list(budgets.api(config, "github.com", states[:2], None)) == []
    (few,) = budgets.api(config, "github.com", states[:10], None)
    assert "releases take 240 requests an hour, 54 are allowed" in few.text
    assert few.fix == "a token, which has 5,000 requests an hour"
    (many,) = budgets.api(config, "github.com", states, None)
    assert many.fix is not None
    assert "and intervals of the tiers 2.7 times as long" in many.fix


def test_a_kernel_for_long_links_is_told_apart(tmp_path: Path) -> None:
    """Congestion control, windows, and a backlog that is too short."""
    ipv4 = "/proc/sys/net/ipv4"
    poor = {
        f"{ipv4}/tcp_congestion_control": "cubic\n",
        f"{ipv4}/tcp_available_congestion_control": "reno cubic\n",
        f"{ipv4}/tcp_rmem": "4096\t131072\t6291456\n",
        f"{ipv4}/tcp_window_scaling": "0\n",
        "/proc/sys/net/core/somaxconn": "16\n",
    }
    found = kernel.kernel(site(tmp_path, files=poor))
    fixes = " ".join(each.fix or "" for each in found)
    assert "modprobe tcp_bbr; net.core.default_qdisc=fq" in fixes
    assert "net.ipv4.tcp_rmem=4096 131072 20971520" in fixes
    assert any("about 15.0 MiB a second" in text for text in texts(found, Level.WARN))
    assert len(texts(found, Level.FAIL)) == 1
    good = poor | {
        f"{ipv4}/tcp_congestion_control": "bbr\n",
        f"{ipv4}/tcp_rmem": "4096 131072 67108864\n",
        f"{ipv4}/tcp_window_scaling": "1\n",
        "/proc/sys/net/core/somaxconn": "4096\n",
    }
    well = site(tmp_path, files=good)
    assert not [e for e in kernel.kernel(well) if "tcp_" in e.text]


def test_a_limit_on_files_is_held_against_the_configuration(tmp_path: Path) -> None:
    """What a daemon takes grows with its connections and transfers."""
    config = configured(
        tmp_path,
        '[syncer]\ntransfers = 100\n[host."a.corp"]\nconnections = 200\n',
    )
    files, threads = kernel.needs(config)
    assert files > 200 + 300
    assert threads > 400 + 200


def test_plain_text_off_loopback_is_named(tmp_path: Path) -> None:
    """Each address with the key that makes it so; loopback is nobody's business."""
    text = """
[syncer]
blobs = "s3://mirror/blobs/"
proxy = "http://me:{}@proxy.corp:3128"
[syncer.s3]
endpoint = "http://minio.corp:9000"
plain_http = true
[syncer.web]
listen = "0.0.0.0:8417"
plain_http = true
[host."a.corp"]
git = "http://a.corp"
private = true
[host."here"]
git = "http://127.0.0.1:3000"
private = true
""".replace("{}", SECRET)
    found = texts(plaintext.plaintext(site(tmp_path, text)), Level.WARN)
    assert len(found) == 4
    assert SECRET not in "".join(found)
    assert "a.corp is reached by http (git)" in found
    safe = plaintext.plaintext(site(tmp_path, '[[repo]]\nname = "a/b"\n'))
    assert [each.level for each in safe] == [Level.OK]


def test_our_unit_reaches_the_store_it_is_for(tmp_path: Path) -> None:
    """The one that is shipped, with the store where it expects it, and elsewhere."""
    told = units.settings(UNIT.read_text())
    home = '[syncer]\ndata = "/var/lib/syncer/mirror"\n'
    assert texts(units.sandbox(told, configured(tmp_path, home)), Level.FAIL) == []
    there = configured(tmp_path, '[syncer]\ndata = "/srv/mirror"\n')
    found = [e for e in units.sandbox(told, there) if e.level is Level.FAIL]
    assert [e.fix for e in found] == [
        "systemctl edit syncer: [Service] ReadWritePaths=/srv/mirror"
    ]
    drop = units.settings(UNIT.read_text(), "[Service]\nReadWritePaths=/srv/mirror\n")
    assert texts(units.sandbox(drop, there), Level.FAIL) == []
    hidden = configured(tmp_path, '[syncer]\ndata = "/home/me/mirror"\n')
    assert "ProtectHome" in texts(units.sandbox(told, hidden), Level.FAIL)[0]


def test_an_empty_setting_takes_back_what_was_set() -> None:
    """As systemd reads it; comments and sections are none."""
    told = units.settings("[Service]\n# A=1\nA=x\nB=y z\nA=\nA=w\n")
    assert dict(told) == {"A": ["w"], "B": ["y z"]}


def test_a_unit_that_is_not_started_at_boot_is_told(tmp_path: Path) -> None:
    """So is one that hides the installed one, and credentials that others read."""
    files = {
        "/run/systemd/system/x": "",
        "/lib/systemd/system/syncer.service": UNIT.read_text(),
        "/etc/systemd/system/syncer.service": "[Service]\nWatchdogSec=0\n",
        "/etc/syncer/credentials/github-token": SECRET,
    }
    here = site(tmp_path, files=files)
    credentials = here.file("/etc/syncer/credentials")
    credentials.chmod(0o700)
    (credentials / "github-token").chmod(0o644)
    found = units.unit(here)
    doubts = " ".join(texts(found, Level.WARN))
    for words in ("hides the unit", "no watchdog", "nothing starts it at boot"):
        assert words in doubts
    assert "syncer-verify.timer is off" in doubts
    assert "may be read by others" in texts(found, Level.FAIL)[0]


def machine(name: str, *, leader: bool = True, **changes: object) -> Machine:
    """Return a machine that is at work."""
    values = {"version": "1", "seen": NOW, "tick": 0.1} | changes
    return Machine(
        name,
        str(values["version"]),
        (Role.SCHEDULER, Role.WORKER),
        NOW,
        values["seen"],  # type: ignore[arg-type] # of a dict of several kinds
        leader=leader,
        tick=float(str(values["tick"])),
    )


@pytest.mark.parametrize(
    ("machines", "level", "words"),
    [
        ([machine("a")], Level.OK, ""),
        ([machine("a", leader=False)], Level.FAIL, "no scheduler"),
        ([machine("a"), machine("b", version="2")], Level.WARN, "several versions"),
        ([machine("a", tick=2.5)], Level.WARN, "a tick takes 2.5 s on a"),
        (
            [machine("a"), machine("b", seen=NOW - timedelta(hours=1))],
            Level.WARN,
            "b was last heard of 1h00m ago",
        ),
    ],
)
def test_machines_that_do_not_fit_are_told(
    machines: list[Machine], level: Level, words: str
) -> None:
    """Nobody who leads, other versions, slow ticks, and who fell silent."""
    found = list(records.among(machines, NOW))
    if level is Level.OK:
        assert found == []
    else:
        assert any(words in text for text in texts(found, level))


def test_nobody_who_hears_of_trouble_is_a_doubt(tmp_path: Path) -> None:
    """And a channel that leaves out what is grave."""
    (none,) = records.alerts(site(tmp_path))
    assert none.level is Level.WARN
    text = '[[alert]]\nname = "ops"\non = ["late"]\n'
    file = tmp_path / "repos.toml"
    file.write_text(text)
    config = load(file, {"SYNCER_ALERT_OPS": f"slack://{SECRET}"})
    found = records.alerts(Site(config))
    assert any(Kind.INTEGRITY.value in each.text for each in found)
    assert SECRET not in str(found)


@contextmanager
def answering(reply: bytes) -> Iterator[tuple[int, list[bytes]]]:
    """Listen for one connection, and answer what it says first."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                heard.append(connection.recv(65536))
                connection.sendall(reply)

        thread = threading.Thread(target=answer)
        thread.start()
        yield server.getsockname()[1], heard
        thread.join(10)


def test_a_proxy_is_asked_as_it_will_be() -> None:
    """CONNECT with what it is told of us, and its answer counts."""
    place = proxy.Place("github.com", 443)
    with answering(b"HTTP/1.1 407 Who are you?\r\n\r\n") as (port, heard):
        address = urlsplit(f"http://me:p%40ss@127.0.0.1:{port}")
        assert proxy.connect(address, place) == 407
    assert heard[0].startswith(b"CONNECT github.com:443 HTTP/1.1\r\n")
    assert b"Proxy-Authorization: Basic bWU6cEBzcw==\r\n" in heard[0]
    strange = pytest.raises(OSError, match="not answer as a proxy")
    with answering(b"SSH-2.0-what?\r\n") as (port, _), strange:
        proxy.connect(urlsplit(f"http://127.0.0.1:{port}"), place)


def test_a_proxy_that_refuses_is_a_failure_without_its_password(
    tmp_path: Path,
) -> None:
    """407 says what it wants; the address is shown, what is in it is not."""
    repos = '[[repo]]\nname = "a/b"\n[host."github.com"]\napi = "https://github.com"\n'
    with answering(b"HTTP/1.1 407 No\r\n\r\n") as (port, _):
        text = f'[syncer]\nproxy = "http://me:{SECRET}@127.0.0.1:{port}"\n{repos}'
        (found,) = proxy.proxy(site(tmp_path, text))
    assert found.level is Level.FAIL
    assert f"http://127.0.0.1:{port} refuses CONNECT to github.com:443 (407)" in (
        found.text
    )
    assert SECRET not in str(found)


def test_a_figure_is_held_against_its_target() -> None:
    """One without a target is only told."""
    assert Figure("write", "", 6e8, "B/s", 5e8).is_met
    assert not Figure("write", "", 4e8, "B/s", 5e8).is_met
    assert Figure("puts", "", 1.0, "a second").is_met
    assert Figure("write", "", 512.3e6, "B/s").shown == "512 MB/s"


def test_a_rate_counts_all_threads_and_stops_when_told() -> None:
    """What a thread raises ends the measurement; a stop does, too."""
    stop = threading.Event()
    assert rate(lambda _: time.sleep(0.01), threads=4, seconds=0.1, stop=stop) > 100

    def fail(number: int) -> None:
        if number == 1:
            raise OSError(28, "full")

    with pytest.raises(OSError, match="full"):
        rate(fail, threads=2, seconds=5, stop=stop)
    stop.set()
    with pytest.raises(Interrupted):
        rate(lambda _: None, threads=2, seconds=5, stop=stop)


def test_a_measurement_leaves_nothing(tmp_path: Path) -> None:
    """Five figures come, all above zero; stopped or not, the directory is empty."""
    stop, place = threading.Event(), tmp_path / "store"
    place.mkdir()
    plan = bench_disk.Plan(2 << 20, seconds=0.02, times=1)
    found = list(bench_disk.measured(place, plan, stop, lambda _: None))
    assert [each.what for each in found] == [
        *("write", "read", "random writes", "random reads", "publications"),
    ]
    assert all(each.value > 0 for each in found)
    assert list(place.iterdir()) == []
    figures = bench_disk.measured(place, plan, stop, lambda _: None)
    next(figures)
    stop.set()
    with pytest.raises(Interrupted):
        list(figures)
    assert list(place.iterdir()) == []


def test_a_measurement_takes_a_share_of_what_is_free(tmp_path: Path) -> None:
    """However much was asked for, whole blocks of it, and never below the floor."""
    asked = bench_disk.fitting(tmp_path, 3_000_000, 0.0)
    assert asked == 2 << 20
    free = os.statvfs(tmp_path)
    most = bench_disk.fitting(tmp_path, 1 << 60, 0.0)
    assert most <= free.f_blocks * free.f_frsize // 3
