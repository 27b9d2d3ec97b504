"""What keeps the code's shape: layers, confined libraries, sizes and names.

Read from the syntax trees, so that nothing has to be imported.
"""

from __future__ import annotations

import ast
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "syncer"
MODULES = sorted(PACKAGE.rglob("*.py"))

#: A part of the package imports itself and parts with a smaller number.
LAYERS = {
    # Pure values and errors: everybody speaks them, they need nobody.
    "errors": 0,
    "model": 1,
    # How people write durations and sizes; knows no setting.
    "units": 2,
    # Where the keys of a file stand.
    "places": 2,
    # How a long one is read.
    "toml": 2,
    # Files that survive a power cut, and bounds that threads share: ours, tiny.
    "durable": 2,
    "limits": 2,
    # Where the system keeps certificates.
    "trust": 2,
    # Seams and decisions: what the adapters meet in, each on its own.
    "ports": 3,
    "schedule": 3,
    # What happened, in words and pictures; lag has one definition, in `schedule`.
    "reports": 4,
    # The configuration, in parts: secrets, what is outside, what to mirror, who
    # reads and hears of it, the whole shape, whether it fits, how it is read.
    "credentials": 2,
    "endpoints": 3,
    "wanted": 4,
    "listening": 4,
    "alerting": 5,
    "settings": 6,
    "checks": 7,
    "config": 8,
    # The mirrors as configured and known together.
    "freshness": 7,
    # What systemd is told, and what it and people tell us.
    "systemd": 2,
    "signals": 2,
    # How the log looks, with what is secret taken out.
    "logs": 8,
    # Adapters and the verbs of a run: never each other, they meet in ports.
    "catalog": 9,
    "notify": 9,
    "git": 9,
    "store": 9,
    "sync": 9,
    "upstream": 9,
    "workers": 9,
    # Handed its ports; names no adapter.
    "web": 10,
    # Where git and the egress policy meet, which do not know each other.
    "remotes": 10,
    # Parts of the composition root.
    "wiring": 10,
    # The composition root: knows every class, and nobody below knows it.
    "bootstrap": 11,
    # What the daemon looks after while nothing is due.
    "care": 12,
    "outlook": 12,
    "watch": 12,
    "presence": 12,
    # What is wrong with an installation: looks at every part that is wired.
    "doctor": 12,
    # How the daemon begins anew, says that it lives, and ends.
    "reload": 12,
    "pulse": 12,
    "drain": 12,
    # All that goes on beside the runs, and who works on them.
    "attendants": 13,
    "crew": 13,
    "dispatch": 13,
    "alone": 14,
    "member": 14,
    "served": 14,
    # What people and systemd start.
    "daemon": 15,
    "worker": 15,
    "cli": 16,
    "__main__": 17,
}
ADAPTERS = 9

#: Where a library may be imported: a change of it then touches one place.
CONFINED = {
    "sqlalchemy": ("catalog/",),  # rows and sessions never leave the catalog
    "alembic": ("catalog/",),
    "psycopg": ("catalog/",),
    "sqlite3": ("catalog/",),
    "tomlkit": ("catalog/",),  # edits repos.toml; reading it is tomllib's
    "git": ("git/",),  # GitPython: one way to run git
    "gitdb": ("git/",),
    "subprocess": ("git/",),  # every process is git, in a group of its own
    "urllib3": ("upstream/",),  # one egress policy for all requests
    "boto3": ("store/s3.py", "store/s3_client.py"),
    "botocore": ("store/s3.py", "store/s3_client.py"),
    # S3's hot path, where urllib3 costs as much again for each request.
    "http.client": (
        "upstream/",
        "store/s3_connections.py",
        "store/s3_http.py",
        "store/s3_failures.py",
    ),
    "urllib.request": ("upstream/",),
    "apprise": ("notify/",),  # brings requests along, which nobody else uses
    "requests": (),
    "aiohttp": ("web/",),
    "prometheus_client": ("web/",),
    "procrastinate": ("workers/cluster",),
    "psycopg_pool": ("workers/cluster",),
    "jinja2": ("reports/", "web/"),
    "jwt": ("upstream/tokens.py",),  # an App's private key is used in one place
    "apscheduler": ("daemon.py",),  # it ticks, `schedule/` decides
    "click": ("cli/",),  # a command parses, calls, prints, exits
    "rich": ("cli/",),
    "pydantic": (
        "alerting.py",
        "config.py",
        "endpoints.py",
        "listening.py",
        "settings.py",
        "wanted.py",
    ),  # values inside are plain
    "structlog": ("logs.py",),  # the others speak to `logging`
    # One colour of code: threads do the work.  These libraries have the other.
    "asyncio": ("web/", "workers/cluster"),
}

#: The two homes of the environment: settings and secrets in, git's children out.
ENVIRONMENT = ("config.py", "git/command.py")

#: Longer modules are split by noun; a little air lets one be finished first.
MAX_LINES = 320

#: Names that say nothing about what a module is for.
EMPTY_NAMES = {
    "common",
    "data",
    "helper",
    "helpers",
    "info",
    "manager",
    "misc",
    "processor",
    "util",
    "utils",
}

#: What a decision must not have: a clock, chance, or the world.
IMPURE = {"os", "random", "secrets", "socket", "subprocess", "threading", "time"}


class Import(NamedTuple):
    """One imported module, by its full name; `typing` when only types need it."""

    name: str
    line: int
    typing: bool


def imports(source: str) -> list[Import]:
    """Return everything that a module imports, wherever in it."""
    return list(_imports(ast.parse(source), typing=False))


def _imports(tree: ast.AST, *, typing: bool) -> Iterator[Import]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno, typing)
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            # `from syncer import daemon` imports `syncer.daemon`.
            for name in (alias.name for alias in node.names):
                full = f"{base}.{name}" if base == "syncer" else base
                yield Import(full, node.lineno, typing)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for child in node.body:
                yield from _imports(ast.Module([child], []), typing=True)
            for child in node.orelse:
                yield from _imports(ast.Module([child], []), typing=typing)
        else:
            yield from _imports(node, typing=typing)


def part_of(name: str) -> str:
    """Return which part of the package a module belongs to."""
    parts = name.split(".")
    return parts[1] if len(parts) > 1 else ""


def upward(part: str, source: str) -> list[str]:
    """Return the imports of a module in `part` that do not lead down."""
    found = []
    for each in imports(source):
        target = part_of(each.name) if each.name.split(".")[0] == "syncer" else part
        if target in {part, "", "__version__"}:  # "": the package itself, its version
            continue
        if each.typing and target in {"ports", "model"}:
            continue  # The shared vocabulary: a name in an annotation, no code.
        if target not in LAYERS or LAYERS[target] >= LAYERS[part]:
            found.append(f"line {each.line}: {part} imports {each.name}")
    return found


def strays(path: str, source: str) -> list[str]:
    """Return the imports of a module at `path` that belong elsewhere."""
    return [
        f"line {each.line}: {path} imports {each.name}"
        for each in imports(source)
        for library, homes in CONFINED.items()
        if f"{each.name}.".startswith(f"{library}.") and not path.startswith(homes)
    ]


def environment(source: str) -> list[int]:
    """Return the lines at which a module touches the environment."""
    names = {"environ", "environb", "getenv", "getenvb", "putenv", "unsetenv"}
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and node.attr in names:
            if isinstance(node.value, ast.Name) and node.value.id == "os":
                found.append(node.lineno)
        elif isinstance(node, ast.ImportFrom) and node.module == "os":
            found += [node.lineno for alias in node.names if alias.name in names]
    return found


@cache
def source_of(path: Path) -> str:
    """Return a module's text."""
    return path.read_text(encoding="utf-8")


def shown(path: Path) -> str:
    """Return a module's path inside the package."""
    return path.relative_to(PACKAGE).as_posix()


def part_at(path: Path) -> str:
    """Return the part of the package a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


each_module = pytest.mark.parametrize("path", MODULES, ids=shown)
each_part = pytest.mark.parametrize(
    "path", [path for path in MODULES if part_at(path) != "__init__"], ids=shown
)


@each_part
def test_imports_lead_down(path: Path) -> None:
    """A module imports its own part of the package and those below, nothing else."""
    part = part_at(path)
    assert part in LAYERS, f"give `{part}` a layer, with the reason"
    assert upward(part, source_of(path)) == []


@each_module
def test_imports_are_absolute(path: Path) -> None:
    """An import names the module it means, so that the layers can be read."""
    assert [i for i in imports(source_of(path)) if i.name.startswith(".")] == []


@each_module
def test_libraries_stay_where_they_belong(path: Path) -> None:
    """A library is imported in its home and nowhere else."""
    assert strays(shown(path), source_of(path)) == []


@pytest.mark.parametrize("part", ["errors", "model", "units", "ports", "schedule"])
def test_the_lowest_layers_need_only_the_standard_library(part: str) -> None:
    """Values, seams and decisions import nothing that can be missing or change."""
    for path in (p for p in MODULES if part_at(p) == part):
        tops = {each.name.split(".")[0] for each in imports(source_of(path))}
        assert tops - {"syncer"} <= sys.stdlib_module_names, shown(path)


@pytest.mark.parametrize("part", ["errors", "model", "schedule"])
def test_decisions_have_no_clock_and_no_chance(part: str) -> None:
    """Time and state are arguments: nothing else can change a decision."""
    for path in (p for p in MODULES if part_at(p) == part):
        tops = {each.name.split(".")[0] for each in imports(source_of(path))}
        assert tops & IMPURE == set(), shown(path)
        calls = {
            node.attr
            for node in ast.walk(ast.parse(source_of(path)))
            if isinstance(node, ast.Attribute)
        }
        assert calls & {"now", "utcnow", "today"} <= _own_fields(path), shown(path)


def _own_fields(path: Path) -> set[str]:
    """Return what a module reads of its own values, `self.now` for one."""
    return {
        node.attr
        for node in ast.walk(ast.parse(source_of(path)))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in {"self", "decision"}
    }


@each_module
def test_the_environment_has_two_homes(path: Path) -> None:
    """Only the configuration and git's runner see environment variables."""
    if shown(path) not in ENVIRONMENT:
        assert environment(source_of(path)) == []


@each_module
def test_a_module_says_what_it_is_for(path: Path) -> None:
    """Every module starts with a docstring."""
    assert ast.get_docstring(ast.parse(source_of(path)))


@each_module
def test_a_module_is_read_in_one_sitting(path: Path) -> None:
    """A module that outgrew its size is split by noun."""
    assert len(source_of(path).splitlines()) <= MAX_LINES


@each_module
def test_a_module_is_named_by_its_noun(path: Path) -> None:
    """No module has a name that would fit any other."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    words = {word for part in parts for word in part.strip("_").split("_")}
    assert words & EMPTY_NAMES == set()


@pytest.mark.parametrize(
    ("part", "source"),
    [
        ("model", "from syncer.catalog.sql import SqlCatalog"),
        ("sync", "import syncer.git.bare"),
        ("git", "def f():\n    from syncer.upstream import session"),
        ("schedule", "from syncer import daemon"),
        ("catalog", "if TYPE_CHECKING:\n    from syncer.git.bare import Bare"),
        ("config", "try:\n    import syncer.bootstrap\nexcept ImportError:\n    pass"),
        ("ports", "from syncer.nowhere import anything"),
    ],
)
def test_an_upward_import_is_found(part: str, source: str) -> None:
    """The layer test sees an import that leads up or across, wherever it hides."""
    assert len(upward(part, source)) == 1


@pytest.mark.parametrize(
    ("part", "source"),
    [
        ("sync", "from syncer.ports import Forge\nfrom syncer.model.names import x"),
        ("errors", "if TYPE_CHECKING:\n    from syncer.model.runs import SyncRun"),
        ("git", "from syncer.git.command import run"),
        ("cli", "from syncer import __version__"),
        ("bootstrap", "from syncer.git.bare import a\nimport syncer.catalog.sql"),
    ],
)
def test_a_downward_import_is_not_an_offence(part: str, source: str) -> None:
    """The layer test lets pass what leads down."""
    assert upward(part, source) == []


def test_a_stray_library_is_found() -> None:
    """The confinement test sees a library outside its home, and only there."""
    source = "def f():\n    from sqlalchemy.orm import Session"
    assert len(strays("sync/pipeline.py", source)) == 1
    assert strays("catalog/sql.py", source) == []


@pytest.mark.parametrize(
    "source",
    [
        "import os\nx = os.environ['HOME']",
        "import os\nx = os.getenv('HOME')",
        "from os import environ",
    ],
)
def test_a_look_at_the_environment_is_found(source: str) -> None:
    """Each way to read a variable is seen."""
    assert len(environment(source)) == 1


def test_no_adapter_knows_another() -> None:
    """The adapters share one layer, so that they can only meet in ports."""
    named = {"catalog", "git", "notify", "store", "sync", "upstream", "workers"}
    assert {part for part, layer in LAYERS.items() if layer == ADAPTERS} == named
