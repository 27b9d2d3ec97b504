"""The annotated `repos.toml` says what is true."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from syncer.alerting import Alert
from syncer.config import load
from syncer.endpoints import GITHUB_API, S3, Host
from syncer.listening import DEFAULT_LISTEN, Web
from syncer.settings import DEFAULT_TIERS, Config, S3Place, Syncer, Tier
from syncer.wanted import Owner, Repo, Wanted

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "repos.toml"
TEMPLATE = ROOT / "syncer" / "cli" / "template.toml"
#: Keys that have no default; what the example shows for them is an idea.
IDEAS = {
    "access_key_file",
    "app_id",
    "app_installation",
    "app_key_file",
    "bandwidth",
    "blobs",
    "ca",
    "catalog",
    "downloads",
    "endpoint",
    "host",
    "keep",
    "known_hosts",
    "max_asset",
    "max_size",
    "proxy",
    "public_endpoint",
    "secret_key_file",
    "ssh_key",
    "repeat",
    "token_file",
    "url",
    "url_file",
}


@pytest.fixture(scope="module")
def uncommented() -> Config:
    """Return the example with every commented key and table in force."""
    shown = EXAMPLE.read_text(encoding="utf-8")
    text = re.sub(r"(?m)^# (\w+ = |\[\[\w+\]\]$)", r"\1", shown)
    return Config.model_validate(tomllib.loads(text))


def test_the_example_is_a_configuration() -> None:
    """`make run` starts with it as it is."""
    config = load(EXAMPLE, {})
    assert [repo.name.short for repo in config.repo] == ["QwenLM/Qwen-Image"]
    assert config.data == EXAMPLE.parent / "mirror"
    assert config.tier == DEFAULT_TIERS


def test_what_the_example_comments_out_is_the_default(uncommented: Config) -> None:
    """A reader may trust the values."""
    github = uncommented.host["github.com"]
    apart = IDEAS - {"keep"} | {"s3", "web"}
    assert uncommented.syncer.model_dump(exclude=apart) == (
        Syncer().model_dump(exclude=apart) | {"data": Path("./mirror")}
    )
    store = uncommented.syncer.s3
    assert store.model_dump(exclude=IDEAS) == S3().model_dump(exclude=IDEAS)
    face = uncommented.syncer.web
    assert face.model_dump(exclude=IDEAS) == (
        Web(listen=DEFAULT_LISTEN).model_dump(exclude=IDEAS)
    )
    usual_alert = Alert(name="ops").model_dump(exclude=IDEAS)
    assert uncommented.alert[0].model_dump(exclude=IDEAS) == usual_alert
    ours = {"git": "https://github.com", "api": GITHUB_API}
    defaults = Host().model_dump(exclude=IDEAS) | ours
    assert github.model_dump(exclude=IDEAS) == defaults
    apart = IDEAS | {"name", "tier"}
    usual = Repo(name="a/b")  # type: ignore[arg-type]  # parsed
    assert uncommented.repo[0].model_dump(exclude=apart) == (
        usual.model_dump(exclude=apart)
    )
    owner = Owner(name="a")  # type: ignore[arg-type]  # parsed
    assert uncommented.owner[0].model_dump(exclude=apart) == (
        owner.model_dump(exclude=apart)
    )


@pytest.mark.parametrize("model", [Syncer, S3, Web, Tier, Repo, Owner, Host, Alert])
def test_the_example_shows_every_key(
    uncommented: Config,
    model: type[Syncer | S3 | Web | Tier | Repo | Owner | Host | Alert],
) -> None:
    """A key that nobody can find is no feature; an owner's may be a repository's."""
    shown = {
        Syncer: uncommented.syncer,
        S3: uncommented.syncer.s3,
        Web: uncommented.syncer.web,
        Alert: uncommented.alert[0],
        Tier: uncommented.tier["core"],
        Repo: uncommented.repo[0],
        Owner: uncommented.owner[0],
        Host: uncommented.host["github.com"],
    }[model]
    shared = Wanted.model_fields.keys() if model is Owner else set()
    assert shown.model_fields_set == model.model_fields.keys() - shared


def test_what_the_template_suggests_is_right(tmp_path: Path) -> None:
    """Whoever takes the comments away from what `init` writes has a configuration."""
    file = tmp_path / "repos.toml"
    text = re.sub(r"(?m)^# (\w+ = |\[)", r"\1", TEMPLATE.read_text(encoding="utf-8"))
    file.write_text(text)
    config = load(file, {})
    assert config.blobs_place == S3Place("mirror", "blobs/")
    assert [(repo.lfs, repo.releases) for repo in config.repo] == [(False, "latest:5")]
    assert [str(owner.name) for owner in config.owner] == ["QwenLM"]
    assert config.host["ghe.corp"].api == "https://ghe.corp/api/v3"
