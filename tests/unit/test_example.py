"""The annotated `repos.toml` says what is true."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from syncer.config import load
from syncer.settings import DEFAULT_TIERS, Config, Host, Repo, Syncer, Tier

EXAMPLE = Path(__file__).parents[2] / "repos.toml"
#: Keys that have no default; what the example shows for them is an idea.
IDEAS = {"catalog", "proxy", "ca", "ssh_key", "known_hosts", "token_file", "keep"}


@pytest.fixture(scope="module")
def uncommented() -> Config:
    """Return the example with every commented key in force."""
    text = re.sub(r"(?m)^# (\w+ = )", r"\1", EXAMPLE.read_text(encoding="utf-8"))
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
    assert uncommented.syncer.model_dump(exclude=IDEAS - {"keep"}) == (
        Syncer().model_dump(exclude=IDEAS - {"keep"}) | {"data": Path("./mirror")}
    )
    defaults = Host().model_dump(exclude=IDEAS) | {"git": "https://github.com"}
    assert github.model_dump(exclude=IDEAS) == defaults
    assert uncommented.repo[0].refs == Repo(name="a/b").refs  # type: ignore[arg-type]  # parsed


@pytest.mark.parametrize("model", [Syncer, Tier, Repo, Host])
def test_the_example_shows_every_key(
    uncommented: Config, model: type[Syncer | Tier | Repo | Host]
) -> None:
    """A key that nobody can find is no feature."""
    shown = {
        Syncer: uncommented.syncer,
        Tier: uncommented.tier["core"],
        Repo: uncommented.repo[0],
        Host: uncommented.host["github.com"],
    }[model]
    assert shown.model_fields_set == set(model.model_fields)
