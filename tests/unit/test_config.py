"""The configuration: read whole, every problem told at once."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncer.config import Config, environment, load, locate
from syncer.errors import ConfigError
from syncer.model.content import DEFAULT_SCOPE
from syncer.model.names import OwnerName, RepoName
from syncer.model.origin import Discovery, Facts
from syncer.settings import S3Place
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
        ('[syncer]\nblobs = "s3://Mirror"\n', "write an address like s3://bucket"),
        ('[syncer]\nblobs = "s3://mirror/a//b"\n', "write an address like s3://"),
        ('[syncer]\nblobs = "s3://mirror/../b"\n', "write an address like s3://"),
        ('[syncer]\nblobs = "s3://mirror/a?b"\n', "write an address like s3://"),
        ('[syncer]\nblobs = "https://mirror/"\n', "or a directory"),
        ('[syncer]\nblobs = ""\n', "repos.toml:2: syncer.blobs"),
        ('[syncer]\nin_flight = "1M"\n', "repos.toml:2: syncer.in_flight"),
        ("[syncer]\nbandwidth = 0\n", "repos.toml:2: syncer.bandwidth"),
        ("[syncer]\ntransfers = 0\n", "repos.toml:2: syncer.transfers"),
        (
            '[syncer.s3]\nendpiont = "https://s3.corp"\n',
            "repos.toml:2: unknown key `syncer.s3.endpiont`; did you mean `endpoint`?",
        ),
        ('[syncer.s3]\nbucket = "x"\n', "known: endpoint, public_endpoint, region"),
        (
            '[syncer.s3]\nendpoint = "http://10.0.0.1:9000"\n',
            "repos.toml:2: off this machine http needs plain_http = true",
        ),
        (
            '[syncer]\ns3 = { public_endpoint = "http://lfs.corp" }\n',
            "repos.toml:2: off this machine http needs plain_http = true",
        ),
        ('[syncer.s3]\nendpoint = "ssh://s3.corp"\n', "like https://s3.corp:9000"),
        ('[syncer.s3]\nendpoint = "http://[::1"\n', "like https://s3.corp:9000"),
        ('[syncer.s3]\nendpoint = "minio:9000"\n', "repos.toml:2: syncer.s3.endpoint"),
        ("[syncer]\ns3 = 3\n", "repos.toml:2: syncer.s3"),
        (
            '[[repo]]\nname = "a/b"\nlfs_missing = "wait"\n',
            "repos.toml:3: repo.0.lfs_missing: Input should be 'publish' or 'hold'",
        ),
        (
            '[host."h"]\ndownloads = ["https://media.corp/"]\n',
            'repos.toml:2: host.h.downloads.0: write a host like "media.corp"',
        ),
        ('[host."h"]\ndownloads = ["*.corp"]\n', "write a host like"),
        (
            '[[repo]]\nname = "a/b"\nreleases = "latest"\n',
            'repos.toml:3: repo.0.releases: write "all", "latest:5" or "off"',
        ),
        ('[[repo]]\nname = "a/b"\nassets = []\n', "name at least one glob"),
        ('[[repo]]\nname = "a/b"\nasets = []\n', "did you mean `assets`?"),
        ('[[owner]]\nname = "a"\ntier = "x"\n', "repos.toml:3: there is no tier 'x'"),
        (
            '[[owner]]\nname = "a"\n\n[[owner]]\nname = "org:A"\n',
            "repos.toml:5: A is listed twice",
        ),
        (
            '[[owner]]\nname = "a"\nexclud = []\n',
            "repos.toml:3: unknown key `owner.0.exclud`; did you mean `exclude`?",
        ),
        ('[[owner]]\nname = "a"\nexclude = [""]\n', "toml:3: a glob is empty"),
        ('[[owner]]\nname = "a"\ninclude = []\n', "name at least one glob"),
        ('[[owner]]\nname = "a/b"\n', "owner.0.name: `a/b` is not an owner"),
        ('[[owner]]\nname = "h.corp/a"\n', "what h.corp/a has is told by"),
        ('[host."h"]\napi = "h.corp/v3"\n', "like https://ghe.corp/api/v3"),
        ('[host."h"]\napi = "http://[::1"\n', "repos.toml:1: `api` is no address"),
        (
            '[host."h"]\napi = "http://h.corp/v3"\n',
            "repos.toml:1: an `api` that is reached by http needs private = true",
        ),
        ('[host."h"]\napi_reserve = "x"\n', "host.h.api_reserve: write a share"),
        ('[host."h"]\napi_reserve = "100%"\n', "less than 1"),
        (
            '[host."github.com"]\napp_id = 1\n',
            "repos.toml:1: an App needs both app_id and app_installation",
        ),
        ('[host."github.com"]\napp_installation = 1\n', "needs both app_id and"),
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


def test_the_object_stores_keys_may_come_from_the_environment(
    written: Callable[[str], Path],
) -> None:
    """`SYNCER_S3_<KEY>` is a key of `[syncer.s3]`, also where there is no section."""
    environ = {
        "SYNCER_BLOBS": "s3://mirror/blobs",
        "SYNCER_TRANSFERS": "3",
        "SYNCER_IN_FLIGHT": "256M",
        "SYNCER_BANDWIDTH": "200M",
        "SYNCER_STALE": "2d",
        "SYNCER_S3_ENDPOINT": "http://minio.corp:9000",
        "SYNCER_S3_PUBLIC_ENDPOINT": "https://lfs.corp",
        "SYNCER_S3_REGION": "eu-west-1",
        "SYNCER_S3_CA": "/ca.pem",
        "SYNCER_S3_PLAIN_HTTP": "true",
    }
    file = written('[syncer.s3]\nregion = "here"\nendpoint = "https://other"\n')

    for config in (load(file, environ), load(None, environ)):
        syncer, s3 = config.syncer, config.syncer.s3
        assert config.blobs_place == S3Place("mirror", "blobs/")
        assert (syncer.transfers, syncer.in_flight) == (3, 256 << 20)
        assert (syncer.bandwidth, syncer.stale) == (200 << 20, timedelta(days=2))
        assert s3.endpoint == "http://minio.corp:9000"
        assert s3.public_endpoint == "https://lfs.corp"
        assert (s3.region, s3.ca, s3.plain_http) == ("eu-west-1", Path("/ca.pem"), True)
        assert config.origins["syncer.s3.region"] == "$SYNCER_S3_REGION"
        assert config.origins["syncer.bandwidth"] == "$SYNCER_BANDWIDTH"

    plain = environ | {"SYNCER_S3_PLAIN_HTTP": "false"}
    (found,) = problems(file, **plain)
    assert found.startswith("$SYNCER_S3_ENDPOINT: off this machine")


@pytest.mark.parametrize(
    ("blobs", "place"),
    [
        ("s3://mirror", S3Place("mirror", "blobs/")),
        ("s3://mirror/", S3Place("mirror", "")),
        ("s3://mirror/lfs", S3Place("mirror", "lfs/")),
        ("s3://my.mirror-1/a/b/", S3Place("my.mirror-1", "a/b/")),
    ],
)
def test_an_object_stores_place_is_a_bucket_and_a_prefix(
    blobs: str, place: S3Place
) -> None:
    """The prefix ends where a blob's own key begins."""
    assert load(None, {"SYNCER_BLOBS": blobs}).blobs_place == place


def test_a_directory_of_blobs_is_absolute(written: Callable[[str], Path]) -> None:
    """Below the data, below the file's directory, or where it says."""
    base = written("").parent

    assert load(written(""), {}).blobs_place == base / "mirror" / "blobs"
    file = written('[syncer]\nblobs = "big/../blobs"\n')
    assert load(file, {}).blobs_place == base / "blobs"
    assert load(file, {"SYNCER_BLOBS": "/srv/b"}).blobs_place == Path("/srv/b")
    home = load(file, {"SYNCER_BLOBS": "~/b"}).blobs_place
    assert home == Path("~/b").expanduser()


@pytest.mark.parametrize(
    "endpoint",
    ["http://127.0.0.1:9000", "http://[::1]:9000", "http://localhost", "https://s3.x"],
)
def test_plain_http_needs_no_leave_on_this_machine(
    written: Callable[[str], Path], endpoint: str
) -> None:
    """What never leaves the machine is read by nobody on the way."""
    config = load(written(f'[syncer.s3]\nendpoint = "{endpoint}"\n'), {})

    assert config.syncer.s3.endpoint == endpoint


def test_the_object_stores_keys_are_read_where_it_is_used(
    written: Callable[[str], Path],
) -> None:
    """They are known for redaction, shown nowhere, and never half there."""
    environ = {"SYNCER_S3_ACCESS_KEY": "AKmade-up", "SYNCER_S3_SECRET_KEY": TOKEN}
    file = written('[syncer]\nblobs = "s3://mirror"\n')

    config = load(file, environ)

    assert config.syncer.s3.keys is not None
    assert [key.reveal() for key in config.syncer.s3.keys] == ["AKmade-up", TOKEN]
    assert {s.reveal() for s in config.secrets()} == {"AKmade-up", TOKEN}
    for text in (repr(config), str(config), config.model_dump_json()):
        assert TOKEN not in text
        assert "AKmade-up" not in text
    assert load(file, {}).syncer.s3.keys is None
    del environ["SYNCER_S3_SECRET_KEY"]
    with pytest.raises(ConfigError, match="s3-secret-key is missing"):
        load(file, environ)
    assert load(None, environ).syncer.s3.keys is None


def test_lfs_is_on_and_publishes_unless_told_otherwise(
    written: Callable[[str], Path],
) -> None:
    """A repository's two keys, and where a host's objects may come from."""
    file = written(
        """
        [host."git.corp"]
        downloads = ["Media.corp", "*.cdn.corp:8443"]
        transfers = 2

        [[repo]]
        name = "a/b"

        [[repo]]
        name = "c/d"
        lfs = false
        lfs_missing = "hold"
        """
    )

    config = load(file, {})

    assert [(r.lfs, r.lfs_missing) for r in config.repo] == [
        (True, "publish"),
        (False, "hold"),
    ]
    corp = config.target_host("git.corp")
    assert corp.allowed_downloads == ("media.corp", "*.cdn.corp:8443")
    assert corp.transfers == 2
    assert (
        "*.githubusercontent.com" in config.target_host("github.com").allowed_downloads
    )
    assert config.target_host("other.corp").allowed_downloads == ()


def test_an_app_and_a_token_exclude_each_other(
    written: Callable[[str], Path],
) -> None:
    """Who asks must be plain: both names are told, no secret is."""
    (key := written("").parent / "app.pem").write_text("made up")
    app = f'app_id = 1\napp_installation = 2\napp_key_file = "{key}"\n'

    (found,) = problems(written(f'[host."github.com"]\n{app}'), GH_TOKEN=TOKEN)

    assert "both an App (app_id) and a token ($GH_TOKEN)" in found
    assert TOKEN not in found


@pytest.mark.parametrize(
    "section",
    [
        'api = "http://127.0.0.1:8080/api/v3/"',
        'api = "http://h.corp/api/v3"\nprivate = true',
        'api = "https://h.corp/api/v3"',
    ],
)
def test_an_api_is_reached_by_tls_or_close_by(
    written: Callable[[str], Path], section: str
) -> None:
    """By plain http only here, or where the host is said to be private."""
    config = load(written(f'[host."h.corp"]\n{section}\napi_reserve = "25%"\n'), {})

    host = config.target_host("h.corp")
    assert str(host.api_base).endswith("/api/v3" if "3/" not in section else "/v3")
    assert host.api_reserve == 0.25


def facts(name: str, id_: int = 1, **said: Any) -> Facts:  # noqa: ANN401 - any of them
    """Return what upstream says of a repository."""
    return Facts(id_, f"R_{id_}", RepoName.parse(name), **said)


def test_releases_are_mirrored_unless_told_otherwise(
    written: Callable[[str], Path],
) -> None:
    """The keys of a repository become what a run selects by."""
    file = written(
        """
        [[repo]]
        name = "a/all"

        [[repo]]
        name = "a/some"
        releases = "latest:5"
        assets = ["*.whl", "!*-win.whl"]
        prereleases = false
        drafts = true
        max_asset = "2G"

        [[repo]]
        name = "a/none"
        releases = "off"
        """
    )

    every, some, none = (r.selection.releases for r in load(file, {}).repo)

    assert (every.wanted, every.latest, every.assets) == (True, None, ("*",))
    assert (every.prereleases, every.drafts, every.max_asset) == (True, False, None)
    assert (some.wanted, some.latest, some.max_asset) == (True, 5, 2 << 30)
    assert some.assets == ("*.whl", "!*-win.whl")
    assert (some.prereleases, some.drafts) == (False, True)
    assert not none.wanted


def test_what_an_owner_has_is_mirrored_as_the_owner_is_configured(
    written: Callable[[str], Path],
) -> None:
    """Explicit entries win, and what no longer fits, or is elsewhere, is left out."""
    file = written(
        """
        [[repo]]
        name = "qwenlm/listed"
        tier = "core"

        [[owner]]
        name = "org:QwenLM"
        exclude = ["*-old"]
        lfs = false
        releases = "latest:2"

        [[owner]]
        name = "acme"
        """
    )
    found = [
        Discovery("github.com/acme", facts("acme/tool", 5)),
        Discovery("github.com/acme", facts("QwenLM/Two", 2)),
        Discovery("github.com/qwenlm", facts("QwenLM/Listed", 1)),
        Discovery("github.com/qwenlm", facts("QwenLM/Two", 2)),
        Discovery("github.com/qwenlm", facts("QwenLM/one-OLD", 3)),
        Discovery("github.com/qwenlm", facts("QwenLM/fork", 4, fork=True)),
        Discovery("github.com/qwenlm", facts("else.where/QwenLM/x", 6)),
        Discovery("github.com/removed", facts("removed/y", 7)),
    ]

    config = load(file, {})
    extended = config.with_discovered(found)

    assert [repo.name.short for repo in extended.repo] == [
        "qwenlm/listed",
        "QwenLM/Two",
        "acme/tool",
    ]
    listed, two, tool = extended.repo
    assert (listed.tier, two.tier) == ("core", "normal")
    assert (two.lfs, two.releases, tool.lfs) == (False, "latest:2", True)
    assert extended.with_discovered(found) is extended
    assert config.with_discovered([]) is config
    assert [repo.name.short for repo in config.repo] == ["qwenlm/listed"]
    assert (extended.path, extended.data) == (config.path, config.data)
    owner = config.find_owner(OwnerName.parse("user:qwenLM"))
    assert owner is not None
    assert owner.exclude == ("*-old",)
    assert config.find_owner(OwnerName.parse("nobody")) is None


def test_an_owners_token_is_known_for_redaction(
    written: Callable[[str], Path],
) -> None:
    """Also while nothing of it is mirrored yet."""
    (file_token := written("").parent / "token").write_text(TOKEN)
    file = written(
        f'[host."h.corp"]\napi = "https://h.corp/api"\ntoken_file = "{file_token}"\n'
        '[[owner]]\nname = "h.corp/a"\n'
    )

    config = load(file, {})

    assert config.hosts == {"h.corp"}
    assert [secret.reveal() for secret in config.secrets()] == [TOKEN]


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
