"""What `make servers` builds, with a Go that only pretends."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.servers import programs, toolchain

if TYPE_CHECKING:
    from pathlib import Path

#: Writes a program where it is told to, and what it was asked for beside it.
_GO = """\
#!/bin/sh
case "$1" in
env) echo go{version} ;;
install)
  for last; do :; done
  echo "$last" >> {log}
  case "$last" in *@{broken}) echo "no such module" >&2; exit 1 ;; esac
  last=${{last%@*}}; last=${{last%/v3}}
  echo program > "$GOBIN/${{last##*/}}" ;;
esac
"""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep what is built in an empty cache."""
    monkeypatch.setattr(programs, "CACHE", tmp_path / "cache")
    return tmp_path / "cache"


def _install_go(
    place: Path, monkeypatch: pytest.MonkeyPatch, version: str, broken: str = "none"
) -> Path:
    """Make Go the first program of the PATH, and return the log it writes."""
    place.mkdir(parents=True)
    log = place / "log"
    (place / "go").write_text(_GO.format(version=version, log=log, broken=broken))
    (place / "go").chmod(0o755)
    monkeypatch.setenv("PATH", f"{place}:/usr/bin:/bin")
    return log


def test_each_is_built_once_in_its_version(
    cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The first time says what it builds; the second time finds it there."""
    log = _install_go(tmp_path / "go", monkeypatch, "1.25.1")

    assert toolchain.main() == 0
    said = capsys.readouterr().out.splitlines()
    assert toolchain.main() == 0

    asked = log.read_text().split()
    assert asked == [f"{each.package}@{each.version}" for each in programs.BUILT]
    assert len(said) == len(programs.BUILT)
    assert "Building versitygw v" in said[0]
    assert capsys.readouterr().out == ""
    for each in programs.BUILT:
        assert each.find().read_text() == "program\n"
    assert len(list((cache / "bin").iterdir())) == len(programs.BUILT)


def test_what_cannot_be_built_leaves_nothing(
    cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Go's words and a hint are shown, and no half of a program is found."""
    wrong = programs.BUILT[0]
    _install_go(tmp_path / "go", monkeypatch, "1.26.8", broken=wrong.version)

    assert toolchain.main() == 1

    said = capsys.readouterr().err
    assert "no such module" in said
    assert "hint: " in said
    assert list((cache / "bin").iterdir()) == []
    with pytest.raises(programs.Missing):
        wrong.find()


def test_an_old_go_is_not_asked(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Go that cannot build them makes way for another one."""
    log = _install_go(tmp_path / "old", monkeypatch, "1.19.8")
    monkeypatch.setattr(toolchain, "ELSEWHERE", tmp_path / "nowhere/go")
    wheel = _install_go(cache / "tools/bin", monkeypatch, "1.27.3")
    monkeypatch.setenv("PATH", f"{tmp_path / 'old'}:/usr/bin:/bin")

    assert toolchain.main() == 0

    assert not log.exists()
    assert len(wheel.read_text().split()) == len(programs.BUILT)
