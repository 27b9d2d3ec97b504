"""Where tokens come from, and that nothing shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from syncer.credentials import Secret, s3_keys_of, token_of
from syncer.endpoints import Host
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
