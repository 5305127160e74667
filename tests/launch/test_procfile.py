"""The Procfile: how it is read, and what the real one promises."""

import re
import subprocess

import pytest

from launch import procfile
from launch.environment import of_process, owner_of
from launch.errors import LaunchError
from polytrader.configuration import load
from polytrader.generated import ensure_secrets
from polytrader.variables import ROOT

QUEUES = {
    "worker": {"orders", "manage-position"},
    "monitor": {"trailing"},
    "minter": {"mint-queue"},
}
KEYS = {"POLY_PRIVATE_KEY", "POLY_API_SECRET", "POLY_RELAYER_KEY"}


@pytest.fixture
def commands():
    return procfile.read(ROOT / "Procfile")


@pytest.fixture
def environment(tmp_path):
    secrets = ensure_secrets(tmp_path)
    told = load(
        {
            "POLYTRADER_HOME": str(tmp_path),
            "POLYTRADER_DOTENV": "",
            "POLY_API_SECRET": "hidden",
            "DATABASE_URL": "postgres://u:p@h/d",
        }
    )

    def of(role):
        base = {"POLY_PRIVATE_KEY": "leak", "DB_PASSWORD": "leak", "PATH": "/bin", "OTHER": "1"}
        return of_process(role, told, base, owner=owner_of(told, secrets))

    return of


def test_the_process_types_are_those_of_the_contract(commands):
    assert set(commands) == {"release", "web", "stream", *QUEUES, "beat", "flower"}


def test_web_consumes_no_queue_and_each_queue_has_one_consumer(commands):
    consumed = {
        name: set(match[1].split(","))
        for name, command in commands.items()
        if (match := re.search(r" -Q (\S+)", command))
    }
    assert consumed == QUEUES
    assert "celery" not in commands["web"]


def test_flower_is_on_loopback_and_refuses_to_start_without_a_login(commands):
    assert "--address=127.0.0.1" in commands["flower"]
    refused = subprocess.run(
        procfile.argv(commands["flower"]), env={"PATH": "/bin:/usr/bin"}, capture_output=True
    )
    assert refused.returncode != 0
    assert b"FLOWER_BASIC_AUTH" in refused.stderr


@pytest.mark.parametrize(
    ("text", "complaint"), [("web python", "line 1"), ("a: b\na: c", "twice"), ("a:", "line 1")]
)
def test_a_line_that_is_none_is_named(tmp_path, text, complaint):
    (tmp_path / "Procfile").write_text(text)
    with pytest.raises(LaunchError, match=complaint):
        procfile.read(tmp_path / "Procfile")


def test_comments_and_empty_lines_are_left_out(tmp_path):
    (tmp_path / "Procfile").write_text("# note\n\nweb: run --x: y\n")
    assert procfile.read(tmp_path / "Procfile") == {"web": "run --x: y"}


@pytest.mark.parametrize("role", ["web", "worker", "monitor", "minter", "stream"])
def test_those_that_sign_get_the_keys_and_no_login(environment, role):
    told = environment(role)
    assert set(told) >= KEYS
    assert told["POLY_PRIVATE_KEY"] != "leak"
    assert not set(told) & {"POLYTRADER_TOKEN", "ADMIN_PASSWORD", "FLOWER_BASIC_AUTH"}


@pytest.mark.parametrize("role", ["beat", "flower", "release", "paper"])
def test_the_others_get_no_key(environment, role):
    assert not set(environment(role)) & KEYS
    assert "leak" not in environment(role).values()


def test_each_gets_what_it_needs_and_what_was_not_ours(environment):
    assert environment("release")["ADMIN_PASSWORD"]
    assert environment("release")["POLYTRADER_TOKEN"]
    assert environment("flower")["FLOWER_BASIC_AUTH"].startswith("flower:")
    assert environment("paper")["PAPER_OWNER"].startswith("0x")
    assert environment("paper")["PAPER_RELAYER_KEY"]
    assert environment("beat")["OTHER"] == "1"
    assert environment("release")["DATABASE_URL"] == "postgres://u:p@h/d"
    assert "DATABASE_URL" not in environment("beat") | environment("flower") | environment("paper")
    assert environment("beat")["POLYTRADER_ROLE"] == "beat"
