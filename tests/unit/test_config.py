"""The configuration: read whole, every problem told at once."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncer.config import Config, environment, load, locate
from syncer.errors import ConfigError
from syncer.model.content import DEFAULT_SCOPE
from syncer.model.names import RepoName
from syncer.units import parse_duration, parse_floor, parse_size

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
TOKEN = "ghp_verySecretToken42"  # noqa: S105 - made up


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str], Path]:
    """Return what writes a configuration file."""

    def write(text: str) -> Path:
        file = tmp_path / "repos.toml"
        file.write_text(text)
        return file

    return write


def problems(file: Path, **environ: str) -> list[str]:
    """Return what is wrong with a file, without its directory."""
    with pytest.raises(ConfigError) as caught:
        load(file, environ)
    assert "nothing was changed" in str(caught.value)
    return [text.replace(f"{file.parent}/", "") for text in caught.value.problems]


def test_nothing_is_a_configuration() -> None:
    """Without a file, everything has its default."""
    config = load(None, {})

    assert config.repo == ()
    assert set(config.tier) == {"core", "normal"}
    assert config.data == Path.cwd() / "mirror"
    assert config.catalog_url == f"sqlite:///{config.data}/catalog.db"


def test_the_example_is_right() -> None:
    """The annotated file that people begin with is read without a problem."""
    file = ROOT / "repos.toml"
    config = load(file, {})

    assert config.path == file
    assert config.repo


def test_a_file_is_read(written: Callable[[str], Path]) -> None:
    """Every kind of key becomes what it means."""
    file = written(
        """
        [syncer]
        data = "store"
        min_free = "5%"
        max_file = "2G"
        keep = "30d"

        [tier.fast]
        interval = "1m30s"
        target = "1h"

        [host."git.corp"]
        git = "https://git.corp/mirror/"
        probes = 5

        [[repo]]
        name = "QwenLM/Qwen-Image"
        tier = "fast"
        refs = ["refs/heads/"]

        [[repo]]
        name = "git.corp/group/sub/widget"
        keep = "1w"
        """
    )

    config = load(file, {})

    assert config.data == file.parent / "store"
    assert config.syncer.min_free == 0.05
    assert config.syncer.max_file == 2 << 30
    assert config.tier["fast"].interval == timedelta(seconds=90)
    first, second = config.repo
    assert first.name == RepoName("github.com", "QwenLM", "Qwen-Image")
    assert first.refs == ("refs/heads/",)
    assert (second.tier, second.refs) == ("normal", DEFAULT_SCOPE)
    assert second.keep == timedelta(weeks=1)
    corp = config.target_host("git.corp")
    assert corp.url(second.name) == "https://git.corp/mirror/group/sub/widget.git"
    assert config.find(RepoName.parse("qwenlm/qwen-image")) == first
    assert config.find(RepoName.parse("acme/other")) is None


def test_all_problems_come_at_once(written: Callable[[str], Path]) -> None:
    """Each with its line, its key, and the nearest key that there is."""
    file = written(
        """\
[syncer]
min_fre = "5%"
workers = 0
keep = "soon"

[tier.fast]
interval = "1m"

[host."git.corp"]
protocoll = "https"

[[repo]]
name = "acme/../widget"

[[repo]]
name = "acme/widget"
refs = ["heads"]
teir = "fast"
"""
    )

    found = problems(file)

    assert sorted(text.partition(": ")[0] for text in found) == [
        "repos.toml:10",
        "repos.toml:13",
        "repos.toml:17",
        "repos.toml:18",
        "repos.toml:2",
        "repos.toml:3",
        "repos.toml:4",
        "repos.toml:6",
    ]
    text = "\n".join(found)
    assert "unknown key `syncer.min_fre`; did you mean `min_free`?" in text
    assert "did you mean `protocol`?" in text
    assert "did you mean `tier`?" in text
    assert "`tier.fast.target` is missing" in text
    assert 'write a duration like "30s"' in text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[[repo]]\nname = "a/b"\ntier = "x"\n', "repos.toml:3: there is no tier 'x'"),
        (
            '[[repo]]\nname = "a/b"\n\n[[repo]]\nname = "A/B"\n',
            "repos.toml:5: A/B is listed twice",
        ),
        (
            '[host."h.test"]\ngit = "ssh://h.test"\n',
            'repos.toml:1: an ssh address needs protocol = "ssh"',
        ),
        (
            '[host."github.com"]\nprotocol = "ssh"\nssh_key = "k"\nknown_hosts = "h"',
            "repos.toml:1: github.com is always fetched by https",
        ),
        (
            '[host."h.test"]\nprotocol = "ssh"\n',
            "needs ssh_key and known_hosts",
        ),
        (
            '[syncer]\ncatalog = "postgresql://u:pw@h/d"\n',
            "repos.toml:2: a password does not belong in this file",
        ),
        ('[host."h.test"]\ngit = "https://u:pw@h.test"\n', "write an address like"),
        ("[syncer\n", "not TOML"),
        ('[syncer]\nkeep = "0s"\n', "longer than nothing"),
        ('[tier.x]\ninterval = 5\ntarget = "1h"\n', "write a duration"),
        ("nonsense = 1\n", "unknown key `nonsense`"),
        ('repo = "acme/widget"\n', "repos.toml:1: repo"),
        ("syncer = 3\n", "repos.toml:1: syncer"),
        ('[host."h"]\nprobes = 0\n', "greater than 0"),
        ("[syncer]\ncatalog = 3\n", "repos.toml:2: syncer.catalog"),
        ('[syncer]\nmin_free = "200%"\n', "between 0% and 100%"),
        ('[syncer]\nmin_free = "x%"\n', "repos.toml:2: syncer.min_free"),
        ("[syncer]\nmin_free = 1.5\n", "repos.toml:2: syncer.min_free"),
        ("[syncer]\nmin_free = -0.5\n", "repos.toml:2: syncer.min_free"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(
    written: Callable[[str], Path], text: str, said: str
) -> None:
    """One sentence, with file and line where there is one."""
    (found,) = problems(written(text))

    assert said in found


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    """With the path, and how to make one."""
    with pytest.raises(ConfigError, match=r"there is no .*absent\.toml") as caught:
        load(tmp_path / "absent.toml", {})
    assert "syncer init" in str(caught.value.hint)

    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path, {})
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load(binary, {})


def test_the_environment_wins(written: Callable[[str], Path]) -> None:
    """`SYNCER_<KEY>` is stronger than the file, and says where it came from."""
    file = written('[syncer]\ndata = "a"\nworkers = 2\n')

    config = load(
        file, {"SYNCER_DATA": "/b", "SYNCER_WORKERS": "7", "SYNCER_KEEP": "1d"}
    )

    assert config.data == Path("/b")
    assert config.syncer.workers == 7
    assert config.syncer.keep == timedelta(days=1)
    assert config.origins["syncer.data"] == "$SYNCER_DATA"
    assert config.origins["syncer.keep"] == "$SYNCER_KEEP"
    assert load(file, {}).origins["syncer.data"] == str(file)


def test_a_wrong_variable_is_named(written: Callable[[str], Path]) -> None:
    """Not the file, which may be right."""
    (found,) = problems(written("[syncer]\nworkers = 2\n"), SYNCER_WORKERS="many")

    assert "$SYNCER_WORKERS" in found


def test_a_catalog_password_may_come_from_the_environment(
    written: Callable[[str], Path],
) -> None:
    """A variable is no file that is copied and committed."""
    url = "postgresql://u:pw@h/d"
    file = written('[syncer]\ncatalog = "postgresql://h/d"\n')

    assert load(file, {"SYNCER_CATALOG": url}).catalog_url == url
    assert load(None, {"SYNCER_CATALOG": url}).catalog_url == url


def test_the_usual_proxy_is_used(written: Callable[[str], Path]) -> None:
    """`HTTPS_PROXY` counts where the file names none."""
    environ = {"HTTPS_PROXY": "http://proxy:3128"}

    assert load(None, environ).syncer.proxy == "http://proxy:3128"
    file = written('[syncer]\nproxy = "http://other:1"\n')
    assert load(file, environ).syncer.proxy == "http://other:1"


def test_a_token_is_its_hosts_alone(written: Callable[[str], Path]) -> None:
    """It is read for its host, shown nowhere, and known for redaction."""
    (file_token := written("").parent / "token").write_text(f"{TOKEN}\n")
    file = written(
        f'[host."git.corp"]\ntoken_file = "{file_token}"\n[[repo]]\nname = "a/b"\n'
    )

    config = load(file, {"GITHUB_TOKEN": "ghp_other"})

    token = config.target_host("git.corp").token
    assert token is not None
    assert token.reveal() == TOKEN
    assert config.target_host("else.where").token is None
    assert {s.reveal() for s in config.secrets()} == {TOKEN, "ghp_other"}
    for text in (
        repr(config),
        str(config),
        config.model_dump_json(),
        repr(config.host),
    ):
        assert TOKEN not in text
        assert "ghp_other" not in text


def test_a_configuration_is_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Named first, then beside us, then at home."""
    monkeypatch.chdir(tmp_path)
    home = tmp_path / "xdg" / "syncer" / "repos.toml"
    home.parent.mkdir(parents=True)
    environ = {"XDG_CONFIG_HOME": str(tmp_path / "xdg")}
    named = tmp_path / "named.toml"

    assert locate(None, environ) is None
    home.touch()
    assert locate(None, environ) == home
    (tmp_path / "repos.toml").touch()
    assert locate(None, environ) == Path("repos.toml")
    assert locate(None, environ | {"SYNCER_CONFIG": str(named)}) == named
    assert locate(Path("given.toml"), environ) == Path("given.toml")


def test_the_environment_is_a_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is done to it changes nothing of ours."""
    monkeypatch.setenv("SYNCER_DATA", "/x")
    copy = environment()
    copy.clear()

    assert environment()["SYNCER_DATA"] == "/x"


def test_a_configuration_is_frozen() -> None:
    """Nobody changes it while the program runs."""
    config = load(None, {})

    with pytest.raises(ValueError, match="frozen"):
        config.syncer.workers = 9


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("90s", timedelta(seconds=90)),
        ("1h30m", timedelta(minutes=90)),
        ("1.5h", timedelta(minutes=90)),
        ("250ms", timedelta(milliseconds=250)),
        ("2w", timedelta(days=14)),
    ],
)
def test_durations(text: str, value: timedelta) -> None:
    """They are read as people write them."""
    assert parse_duration(text) == value


@pytest.mark.parametrize(
    "text", ["", "5", "m", "5 m", "-5m", "5m!", "999999999999w", 5]
)
def test_what_is_no_duration(text: object) -> None:
    """A number without a unit is nobody's guess."""
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [("200M", 200 << 20), ("1.5G", 3 << 29), ("10", 10), (7, 7), ("1KiB", 1024)],
)
def test_sizes(text: object, value: int) -> None:
    """In bytes, by powers of 1024."""
    assert parse_size(text) == value


@given(st.one_of(st.text(max_size=20), st.booleans(), st.integers(), st.floats()))
def test_any_value_is_read_or_refused(value: object) -> None:
    """No value in a file is more than a sentence about it."""
    for parse in (parse_duration, parse_size, parse_floor):
        try:
            parse(value)
        except ValueError as exc:
            assert str(exc)  # noqa: PT017 - another value is read


@given(st.text(max_size=200))
def test_any_file_is_a_configuration_or_not(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    """Reading a file raises `ConfigError` or nothing."""
    file = tmp_path_factory.getbasetemp() / "any.toml"
    file.write_text(text, encoding="utf-8")

    try:
        config = load(file, {})
    except ConfigError as exc:
        assert exc.problems  # noqa: PT017 - another text is read
    else:
        assert isinstance(config, Config)
