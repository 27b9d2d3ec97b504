"""deploy/compose.yaml and what it mounts, as far as can be told without an engine."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from syncer import __version__
from syncer.catalog.database import connect
from syncer.config import load
from syncer.settings import S3Place

DEPLOY = Path(__file__).parents[2] / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
#: Ends by itself when its work is done.
ONCE = {"syncer-setup", "minio-setup"}
TOKEN = {"SYNCER_GITHUB_TOKEN": "gh-x"}
SECRETS = sorted(COMPOSE["secrets"])

every_service = pytest.mark.parametrize("name", sorted(SERVICES))


def mounts(name: str) -> list[tuple[str, str, str]]:
    """Return a service's volumes as source, target and mode."""
    parts = [str(volume).split(":") for volume in SERVICES[name].get("volumes", ())]
    return [(part[0], part[1], part[2] if len(part) > 2 else "rw") for part in parts]


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    """Make the secrets, in a copy."""
    place = tmp_path / "deploy"
    shutil.copytree(DEPLOY / "compose", place / "compose")
    shutil.rmtree(place / "compose/secrets", ignore_errors=True)
    return place


def prepare(place: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run compose/prepare without a terminal."""
    return subprocess.run(
        [place / "compose/prepare"],
        env=os.environ | environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def test_all_services_are_there() -> None:
    """An operator's whole stack is in it."""
    wanted = {"syncer", "postgres", "minio", "prometheus", "grafana", "gitea"}
    assert wanted | {"node-exporter"} | ONCE == SERVICES.keys()


@every_service
def test_images_are_fixed(name: str) -> None:
    """Every image has a version of its own, never a name that moves."""
    image, _, tag = SERVICES[name]["image"].rpartition(":")
    assert image
    assert re.search(r"\d+\.\d+|\d{4}-\d\d-\d\d", tag), tag
    if image == "syncer":
        assert tag == __version__


@every_service
def test_services_may_do_little(name: str) -> None:
    """Each is read-only, without capabilities, and bounded in all it takes."""
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert not service.get("privileged")
    assert service["security_opt"] == ["no-new-privileges:true"]
    limits = service["deploy"]["resources"]["limits"]
    assert limits.keys() == {"cpus", "memory", "pids"}


@every_service
def test_nothing_is_published_off_this_machine(name: str) -> None:
    """Ports are opened on loopback alone."""
    for port in SERVICES[name].get("ports", ()):
        assert port.startswith("127.0.0.1:"), port
    assert SERVICES[name].get("network_mode") in {None, "none"}


@every_service
def test_health_is_looked_at(name: str) -> None:
    """What goes on running is looked after; syncer's image says how for itself."""
    service = SERVICES[name]
    if name in ONCE:
        assert service["restart"] == "no"
    elif name == "syncer":
        assert "/healthz" in (DEPLOY / "Containerfile").read_text()
    else:
        assert service["healthcheck"]["test"]
        assert service["restart"] == "unless-stopped"


@every_service
def test_services_wait_for_what_they_need(name: str) -> None:
    """A condition is one that the other can come to."""
    for other, wait in SERVICES[name].get("depends_on", {}).items():
        ends = other in ONCE
        right = "service_completed_successfully" if ends else "service_healthy"
        assert wait["condition"] == right


@every_service
def test_what_is_mounted_exists(name: str) -> None:
    """Sources are declared volumes, or files of the checkout, which are read-only."""
    for source, target, mode in mounts(name):
        assert target.startswith("/")
        if source.startswith("./"):
            assert (DEPLOY / source).exists(), source
            assert mode == "ro"
        elif source != "/":
            assert source in COMPOSE["volumes"]
    for network in SERVICES[name].get("networks", ()):
        assert network in COMPOSE["networks"]


@every_service
def test_secrets_are_files_and_nothing_else(name: str) -> None:
    """No secret is in the environment or in an argument."""
    for secret in SERVICES[name].get("secrets", ()):
        assert secret in SECRETS
    text = json.dumps(SERVICES[name].get("environment", {})).lower()
    for word in ("password", "token", "secret"):
        for value in re.findall(rf'"[^"]*{word}[^"]*": "([^"]*)"', text):
            assert value in SECRETS or "/run/secrets/" in value


def test_the_catalog_is_reached_by_a_socket() -> None:
    """Postgres is in no network; only syncer shares its socket with it."""
    postgres = SERVICES["postgres"]
    assert postgres["network_mode"] == "none"
    assert "listen_addresses=" in postgres["command"]
    sharing = {
        name
        for name in SERVICES
        if any(source == "postgres-socket" for source, _, _ in mounts(name))
    }
    assert sharing == {"postgres", "syncer", "syncer-setup"}


def test_its_configuration_is_right(prepared: Path) -> None:
    """Our own loader takes repos.toml with the secrets as the services get them."""
    assert prepare(prepared, **TOKEN).returncode == 0
    environ = {"CREDENTIALS_DIRECTORY": str(prepared / "compose/secrets")}
    config = load(prepared / "compose/etc/repos.toml", environ)
    assert isinstance(config.blobs_place, S3Place)
    assert config.blobs_place.bucket == "mirror"
    assert config.syncer.s3.keys is not None
    assert config.target_host("github.com").token is not None
    assert config.syncer.web.address == ("0.0.0.0", 8417)  # noqa: S104  published on loopback
    assert str(config.data) in {target for _, target, _ in mounts("syncer")}
    engine = connect(config.catalog_url)  # refuses what would cross a network
    engine.dispose()
    socket = engine.url.query["host"]
    assert socket in {target for _, target, _ in mounts("postgres")}
    assert engine.url.database == SERVICES["postgres"]["environment"]["POSTGRES_DB"]


def test_secrets_are_made_once(prepared: Path) -> None:
    """They are random, closed to others of the machine, and stay as they are."""
    assert prepare(prepared, **TOKEN).returncode == 0
    place = prepared / "compose/secrets"
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    made = {path.name: path.read_text() for path in place.iterdir()}
    assert sorted(made) == SECRETS
    assert made.pop("github-token") == "gh-x"
    assert all(re.fullmatch(r"[0-9a-f]{20,40}", value) for value in made.values())
    assert len(set(made.values())) == len(made)
    assert prepare(prepared).returncode == 0
    assert {p.name: p.read_text() for p in place.iterdir()} == made | {
        "github-token": "gh-x"
    }


def test_a_token_that_nobody_gave_is_asked_for(prepared: Path) -> None:
    """Without one, and without a terminal, it says what to type."""
    done = prepare(prepared)
    assert done.returncode == 2
    assert "hint: SYNCER_GITHUB_TOKEN=... compose/prepare" in done.stderr


def test_prometheus_finds_the_services() -> None:
    """It scrapes services by the names and ports that they have here."""
    config = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())
    targets = {
        target
        for job in config["scrape_configs"]
        for group in job["static_configs"]
        for target in group["targets"]
    }
    assert targets == {"syncer:8417", "node-exporter:9100", "minio:9000"}
    for target in targets:
        assert "metrics" in SERVICES[target.partition(":")[0]]["networks"]


def test_prometheus_takes_its_configuration() -> None:
    """The program promtool reads it, and the rules that it names."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("there is no promtool")
    words = (promtool, "check", "config", DEPLOY / "prometheus/prometheus.yml")
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_grafana_finds_its_dashboards() -> None:
    """The provisioned path and the home dashboard are where they are mounted."""
    targets = {target: source for source, target, _ in mounts("grafana")}
    (provider,) = (DEPLOY / "grafana/provisioning/dashboards").iterdir()
    path = yaml.safe_load(provider.read_text())["providers"][0]["options"]["path"]
    assert targets[path] == "./grafana/dashboards"
    variable = "GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"
    home = Path(SERVICES["grafana"]["environment"][variable])
    assert str(home.parent) == path
    assert (DEPLOY / "grafana/dashboards" / home.name).is_file()
    (source,) = (DEPLOY / "grafana/provisioning/datasources").iterdir()
    url = yaml.safe_load(source.read_text())["datasources"][0]["url"]
    assert url == "http://prometheus:9090"


def test_the_policy_allows_its_bucket_alone() -> None:
    """The user of the object store that syncer gets may do nothing elsewhere."""
    policy = json.loads((DEPLOY / "compose/minio-policy.json").read_text())
    for statement in policy["Statement"]:
        assert statement["Effect"] == "Allow"
        for resource in statement["Resource"]:
            assert re.fullmatch(r"arn:aws:s3:::mirror(/\*)?", resource)


def test_the_image_is_made_of_what_it_may_see() -> None:
    """The build sees the files that it copies, and neither secrets nor history."""
    text = (DEPLOY / "Containerfile").read_text()
    copied = {
        word
        for line in re.findall(r"^COPY (?!--from)(.+)$", text, re.MULTILINE)
        for word in line.split()[:-1]
    }
    ignore = (DEPLOY / "Containerfile.dockerignore").read_text().splitlines()
    assert "*" in ignore
    assert copied == {line[1:] for line in ignore if line.startswith("!")}
    assert all((DEPLOY.parent / name).exists() for name in copied)
    assert "\nUSER 10001:10001\n" in text
    assert re.search(r"^ARG PYTHON=python:\d+\.\d+\.\d+-", text, re.MULTILINE)
