"""Where tokens come from, and that nothing shows them."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from syncer.config import load
from syncer.credentials import (
    BRIEF,
    Redactor,
    Secret,
    app_key_of,
    catalog_of,
    passwords_of,
    s3_keys_of,
    token_of,
)
from syncer.endpoints import Host, app_problems, named
from syncer.errors import ConfigError
from tests.fakes_forge import host

if TYPE_CHECKING:
    from pathlib import Path

TOKEN = "ghp_verySecretToken42"  # noqa: S105 - made up


@pytest.fixture
def places(tmp_path: Path) -> dict[str, Path]:
    """Return a credential directory and a file, each with its own token."""
    directory = tmp_path / "credentials"
    directory.mkdir()
    (directory / "github-token").write_text("from-directory\n")
    (directory / "token-git.corp").write_text("corp-directory\n")
    file = tmp_path / "token"
    file.write_text("from-file\n")
    return {"directory": directory, "file": file}


def found(name: str, file: Path | None, **environ: str) -> str | None:
    """Return the token of a host, revealed."""
    token = token_of(name, file, environ)
    return None if token is None else token.reveal()


def test_a_credential_directory_wins(places: dict[str, Path]) -> None:
    """What systemd hands over is before files and variables."""
    directory = str(places["directory"])

    for name, token in (("github.com", "from"), ("git.corp", "corp")):
        said = found(
            name,
            places["file"],
            CREDENTIALS_DIRECTORY=directory,
            SYNCER_GITHUB_TOKEN="variable",  # noqa: S106 - made up
        )
        assert said == f"{token}-directory"


def test_a_file_wins_over_the_environment(places: dict[str, Path]) -> None:
    """A directory without this host's credential does not count."""
    said = found(
        "other.host",
        places["file"],
        CREDENTIALS_DIRECTORY=str(places["directory"]),
        SYNCER_TOKEN_OTHER_HOST="variable",  # noqa: S106 - made up
    )

    assert said == "from-file"


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["SYNCER_GITHUB_TOKEN", "GH_TOKEN", "GITHUB_TOKEN"], "SYNCER_GITHUB_TOKEN"),
        (["GITHUB_TOKEN", "GH_TOKEN"], "GH_TOKEN"),
        (["GITHUB_TOKEN", "SYNCER_TOKEN_GITHUB_COM"], "GITHUB_TOKEN"),
        (["SYNCER_TOKEN_GITHUB_COM"], "SYNCER_TOKEN_GITHUB_COM"),
    ],
)
def test_variables_have_an_order(names: list[str], expected: str) -> None:
    """Ours first, then those of GitHub's own tools."""
    assert found("github.com", None, **{name: name for name in names}) == expected


def test_each_host_has_its_own_variable() -> None:
    """A token of GitHub's is no other host's."""
    environ = {"GITHUB_TOKEN": "github", "SYNCER_TOKEN_GIT_CORP_8443": "corp"}

    assert found("git.corp:8443", None, **environ) == "corp"
    assert found("git.example", None, **environ) is None


@pytest.mark.parametrize("text", ["", "  \n", "two\nlines", "nul\0", "tab\there"])
def test_a_token_that_would_break_a_header_is_refused(
    tmp_path: Path, text: str
) -> None:
    """Line breaks and control characters never reach a request."""
    file = tmp_path / "token"
    file.write_text(text)

    with pytest.raises(ConfigError, match="empty or has control characters") as caught:
        token_of("git.corp", file, {})

    assert str(file) in str(caught.value)


def test_a_token_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """Absent or binary, the message has the path and not the content."""
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe" + TOKEN.encode())

    for file in (tmp_path / "absent", binary):
        with pytest.raises(ConfigError, match="cannot be read") as caught:
            token_of("git.corp", file, {})
        assert str(file) in str(caught.value)
        assert TOKEN not in str(caught.value)


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """Provide a directory with both keys of an object store."""
    for name in ("s3-access-key", "s3-secret-key"):
        (tmp_path / name).write_text(f"{name} from the directory\n")
    return tmp_path


def test_an_object_stores_keys_have_an_order(keys: Path, tmp_path: Path) -> None:
    """The credential directory, then the files, then the environment; else none."""
    file = tmp_path / "file"
    file.write_text("from the file\n")
    variables = {"SYNCER_S3_ACCESS_KEY": "one", "SYNCER_S3_SECRET_KEY": " two "}
    directory = {"CREDENTIALS_DIRECTORY": str(keys)}

    def read(files: tuple[Path | None, Path | None], **environ: str) -> list[str]:
        found = s3_keys_of(files, environ)
        return [secret.reveal() for secret in found if secret is not None]

    assert read((file, file), **variables, **directory) == [
        "s3-access-key from the directory",
        "s3-secret-key from the directory",
    ]
    assert read((file, file), **variables) == ["from the file"] * 2
    assert read((None, None), **variables) == ["one", "two"]
    assert read((file, None), **variables) == ["from the file", "two"]
    assert read((None, None)) == []


@pytest.mark.parametrize(
    ("variable", "absent"),
    [
        ("SYNCER_S3_ACCESS_KEY", "s3-secret-key"),
        ("SYNCER_S3_SECRET_KEY", "s3-access-key"),
    ],
)
def test_one_key_of_two_is_an_error(variable: str, absent: str) -> None:
    """The other one is named, and the one that is there is not shown."""
    with pytest.raises(ConfigError, match=f"credential {absent} is missing") as caught:
        s3_keys_of((None, None), {variable: TOKEN})

    assert TOKEN not in str(caught.value)


def test_a_key_that_would_break_a_header_is_refused() -> None:
    """The variable is named, and its value is not shown."""
    with pytest.raises(ConfigError, match=r"\$SYNCER_S3_ACCESS_KEY") as caught:
        s3_keys_of((None, None), {"SYNCER_S3_ACCESS_KEY": f"{TOKEN}\nx"})

    assert TOKEN not in str(caught.value)


def test_a_secret_shows_stars() -> None:
    """Not in text, formatting, tracebacks' values or models that hold it."""
    secret = Secret(TOKEN)
    shown = [repr(secret), str(secret), f"{secret}", f"{secret!r}", f"{[secret]}"]

    assert all(TOKEN not in text for text in shown)
    assert "********" in repr(secret)
    assert secret.reveal() == TOKEN
    assert secret == Secret(TOKEN)
    assert hash(secret) == hash(Secret(TOKEN))
    assert secret != TOKEN


def test_a_host_does_not_show_its_token() -> None:
    """Neither its repr, nor what is dumped of it, has the token."""
    made = host("github.com", token=TOKEN)
    header = made.authorization()

    assert header is not None
    assert header.reveal().startswith("Basic ")
    for text in (repr(made), str(made), made.model_dump_json(), repr(header)):
        assert TOKEN not in text
        assert header.reveal() not in text


def test_no_token_is_no_header() -> None:
    """A host without a token is asked anonymously."""
    assert Host().authorization() is None


PEM = """-----BEGIN RSA PRIVATE KEY-----
c2VjcmV0IGtleQ==
-----END RSA PRIVATE KEY-----
"""


def app_key(name: str, file: Path | None, **environ: str) -> str | None:
    """Return the key of a host's App, revealed."""
    key = app_key_of(name, file, environ)
    return None if key is None else key.reveal()


def test_an_apps_key_has_an_order(tmp_path: Path) -> None:
    """The credential directory, then the file, then the environment; else none."""
    for credential in ("github-app-key", "app-key-ghe.corp"):
        (tmp_path / credential).write_text(PEM.replace("c2Vj", "ZGly"))
    file = tmp_path / "file"
    file.write_text(PEM.replace("c2Vj", "ZmlsZQ"))
    directory = str(tmp_path)

    for host_name in ("github.com", "ghe.corp"):
        found = app_key(host_name, file, CREDENTIALS_DIRECTORY=directory)
        assert found is not None
        assert "ZGly" in found
        found = app_key(host_name, file, SYNCER_GITHUB_APP_KEY=PEM)
        assert found is not None
        assert "ZmlsZQ" in found
    assert app_key("github.com", None, SYNCER_GITHUB_APP_KEY=PEM) == PEM
    assert app_key("ghe.corp", None, SYNCER_APP_KEY_GHE_CORP=PEM) == PEM
    assert app_key("ghe.corp", None, SYNCER_GITHUB_APP_KEY=PEM) is None


def test_an_apps_key_may_be_written_in_one_line() -> None:
    """Variables of services have no line breaks."""
    line = PEM.strip().replace("\n", "\\n")

    assert app_key("github.com", None, SYNCER_GITHUB_APP_KEY=line) == PEM


@pytest.mark.parametrize(
    "text",
    [
        TOKEN,
        PEM.replace("RSA PRIVATE", "PUBLIC"),
        PEM.replace("END RSA", "END"),
        PEM.replace("RSA PRIVATE", "ENCRYPTED PRIVATE"),
        PEM + PEM,
    ],
)
def test_what_is_no_private_key_is_refused(tmp_path: Path, text: str) -> None:
    """The place is named, and what is there is not shown."""
    file = tmp_path / "key.pem"
    file.write_text(text)

    with pytest.raises(ConfigError, match="no private key") as caught:
        app_key_of("github.com", file, {})

    assert str(file) in str(caught.value)
    assert text.strip() not in f"{caught.value!r}{caught.value.hint}"
    with pytest.raises(ConfigError, match=r"\$SYNCER_GITHUB_APP_KEY"):
        app_key_of("github.com", None, {"SYNCER_GITHUB_APP_KEY": text})


APP = {"app_id": 12, "app_installation": 34}
KEY = {"SYNCER_GITHUB_APP_KEY": PEM}


def test_an_app_stands_in_for_a_token() -> None:
    """It is there with its key, and its key is not shown."""
    entry = named(Host.model_validate(APP), "github.com", KEY)

    assert entry.app is not None
    assert (entry.app.id, entry.app.installation) == (12, 34)
    assert entry.app.key == Secret(PEM)
    assert entry.is_authorised
    assert entry.authorization() is None
    assert "c2Vj" not in f"{entry!r} {entry.app!r} {entry.model_dump_json()}"


def test_a_host_without_either_is_nobody() -> None:
    """A key alone, for another program perhaps, makes no App."""
    entry = named(Host(), "github.com", KEY)

    assert entry.app is None
    assert not entry.is_authorised
    assert named(Host(), "github.com", {"GH_TOKEN": TOKEN}).is_authorised


@pytest.mark.parametrize(
    ("name", "settings", "environ", "said"),
    [
        ("github.com", {"app_id": 12}, KEY, ["app_installation"]),
        ("github.com", {"app_installation": 34}, KEY, ["app_id"]),
        ("github.com", {"app_key_file": "/key.pem"}, {}, ["app_id"]),
        ("github.com", APP, {}, ["app_key_file", "$SYNCER_GITHUB_APP_KEY"]),
        ("github.com", APP, KEY | {"GH_TOKEN": TOKEN}, ["app_id", "$GH_TOKEN"]),
        ("github.com", APP | {"token_file": "/token"}, KEY, ["app_id", "/token"]),
        ("github.com", APP | {"git": "https://x.corp"}, KEY, ["`api`"]),
        ("ghe.corp", APP | {"app_key_file": "/key.pem"}, {}, ["`api`"]),
    ],
)
def test_an_app_that_cannot_be_used_is_an_error(
    name: str, settings: dict[str, object], environ: dict[str, str], said: list[str]
) -> None:
    """What is missing, or too much, is named, and no secret is."""
    entry = Host.model_validate(settings)

    (problem,) = app_problems(name, entry, environ)

    assert [word for word in said if word not in problem] == []
    assert TOKEN not in problem
    with pytest.raises(ConfigError) as caught:
        named(entry, name, environ)
    assert caught.value.problems == (problem,)


def test_the_youngest_secrets_of_an_hour_are_redacted() -> None:
    """As many as matter: old ones are over, and every line would pay for them."""
    redactor = Redactor([Secret(TOKEN)])
    for number in range(BRIEF + 1):
        redactor.learn_brief(Secret(f"ghs_{number:04}_x"))

    assert redactor.clean(f"{TOKEN} ghs_0000_x") == "******** ghs_0000_x"
    assert redactor.clean("ghs_0001_x") == "********"
    header = host("github.com", token=f"ghs_{BRIEF:04}_x").authorization()
    assert header is not None
    assert redactor.clean(header.reveal()).endswith("********")


def test_a_directory_that_systemd_loaded_has_its_names_before_the_files(
    tmp_path: Path,
) -> None:
    """`LoadCredential=syncer:DIR` makes `syncer_FILE` of each; a plain name wins."""
    (tmp_path / "syncer_github-token").write_text("loaded\n")
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert found("github.com", None, **environ) == "loaded"
    (tmp_path / "github-token").write_text("by name\n")
    assert found("github.com", None, **environ) == "by name"


def test_the_catalogs_address_may_be_a_credential(tmp_path: Path) -> None:
    """With its password, which then is redacted, and stands in no file."""
    address = "postgresql://syncer:correct%20horse@db.corp/syncer?sslmode=require"
    (tmp_path / "catalog").write_text(f"{address}\n")
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    secret = catalog_of(environ)
    assert secret is not None
    assert secret.reveal() == address
    assert catalog_of({}) is None

    config = load(None, environ | {"SYNCER_CATALOG": "sqlite:///elsewhere.db"})

    assert config.catalog_url == address
    assert config.origins["syncer.catalog"] == "the credential `catalog`"
    cleaned = Redactor(config.secrets()).clean("with correct horse, correct%20horse")
    assert cleaned == "with ********, ********"


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("postgresql://u:correcthorse@h/d", ["correcthorse"]),
        ("postgresql:///d?user=u&password=correct%2Fhorse", ["correct/horse"]),
        ("postgresql://u@h/d", []),
        ("postgresql://syncer:syncer@h/d", []),  # would be taken out of every line
        ("sqlite:////var/lib/syncer/catalog.db", []),
        ("postgresql://[u:correcthorse@h/d", []),
    ],
)
def test_passwords_in_an_address_are_found(address: str, expected: list[str]) -> None:
    """Wherever they stand; a short one would be taken out of ordinary words."""
    assert [each.reveal() for each in passwords_of(address)] == expected


@pytest.mark.parametrize("cut", ["…", "\\u2026"])
def test_what_was_cut_of_a_secret_is_redacted(cut: str) -> None:
    """A text that was clipped inside of one gives no beginning of it away."""
    redactor = Redactor([Secret(TOKEN)])
    for most in range(6, len(TOKEN)):
        said = f"`Bearer {TOKEN[:most]}{cut}` and `more{cut}`"
        assert redactor.clean(said) == f"`Bearer ********{cut}` and `more{cut}`"
    assert redactor.clean(f"ghp{cut}") == f"ghp{cut}"  # which all tokens begin with
    assert redactor.clean(f"{TOKEN[:9]} and so on{cut}").endswith(f"and so on{cut}")


def test_base64_need_not_be_filled_up() -> None:
    """Who repeats it may leave the `=` out, or quote it for an address."""
    redactor = Redactor([Secret("ghp_four")])
    text = b64encode(b"ghp_four").decode()
    assert text.endswith("=")
    for said in (text, text.rstrip("="), quote(text, safe="")):
        assert text[:9] not in redactor.clean(f"Basic {said}")
