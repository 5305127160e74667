"""The configuration: precedence, what wrong values say, and who is handed a secret."""

import json
import os
import stat
from pathlib import Path

import pytest

from launch.environment import of_process
from polytrader.configuration import SIGNING_ROLES, Configuration, load
from polytrader.generated import ensure_secrets, load_secrets, write_private_json
from polytrader.variables import ConfigurationError

KEY = "0x" + "11" * 32
WALLET = "0x" + "ab" * 20


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


def configured(home: Path, **environ: str) -> Configuration:
    return load({"POLYTRADER_HOME": str(home), "POLYTRADER_DOTENV": ""} | environ)


WRONG = [
    ({"PORT": "abc"}, "PORT", "'abc'"),
    ({"PORT": "0"}, "PORT", "'0'"),
    ({"PORT": "65536"}, "PORT", "'65536'"),
    ({"PORT": "-1"}, "PORT", "'-1'"),
    ({"PAPER_PORT": "80.5"}, "PAPER_PORT", "'80.5'"),
    ({"FLOWER_PORT": "1e3"}, "FLOWER_PORT", "'1e3'"),
    ({"PORT": "5555"}, "FLOWER_PORT", "also PORT"),
    ({"PORT": "9000", "PAPER_PORT": "9000"}, "PAPER_PORT", "9000"),
    ({"EXCHANGE": "foo"}, "EXCHANGE", "'foo'"),
    ({"EXCHANGE": "LIVE"}, "EXCHANGE", "'LIVE'"),
    ({"EXCHANGE": "live"}, "POLY_PRIVATE_KEY", "nothing"),
    ({"HOST": "http://x"}, "HOST", "'http://x'"),
    ({"HOST": "127.0.0.1:80"}, "HOST", "'127.0.0.1:80'"),
    ({"DEBUG": "maybe"}, "DEBUG", "'maybe'"),
    ({"POLY_PRIVATE_KEY": "hunter2"}, "POLY_PRIVATE_KEY", "7 characters"),
    ({"POLY_PRIVATE_KEY": "0x" + "00" * 32}, "POLY_PRIVATE_KEY", "66 characters"),
    ({"POLY_PRIVATE_KEY": "0x" + "ff" * 32}, "POLY_PRIVATE_KEY", "66 characters"),
    ({"POLY_WALLET": "0x12"}, "POLY_WALLET", "4 characters"),
    (
        {"POLY_WALLET": "0xA7C5005eCd012643D374d6235b38656e0Eb55D24"},
        "POLY_WALLET",
        "checksum",
    ),
    ({"DATABASE_URL": "hunter2"}, "DATABASE_URL", "not shown"),
    ({"DATABASE_URL": "sqlite:///hunter2"}, "DATABASE_URL", "not shown"),
    ({"DATABASE_URL": "postgres://u:hunter2@/d"}, "DATABASE_URL", "no host"),
    ({"DATABASE_URL": "postgres://u:hunter2@h"}, "DATABASE_URL", "no database"),
    ({"DATABASE_URL": "postgres://u:hunter2@h:x/d"}, "DATABASE_URL", "port"),
    ({"DB_PASSWORD": "hunter2"}, "DB_HOST", "DB_PASSWORD"),
    ({"DB_HOST": "h/hunter2"}, "DB_HOST", "9 characters"),
    ({"DB_HOST": "h", "DB_PORT": "x"}, "DB_PORT", "'x'"),
    ({"REDIS_URL": "http://:hunter2@h"}, "REDIS_URL", "not shown"),
    ({"REDIS_PASSWORD": "hunter2"}, "REDIS_HOST", "REDIS_PASSWORD"),
    ({"WEBHOOK_URL": "hunter2"}, "WEBHOOK_URL", "7 characters"),
    ({"WEBHOOK_URL": "ftp://hunter2"}, "WEBHOOK_URL", "13 characters"),
    ({"WEBHOOK_URL": "https://h/hunter2 x"}, "WEBHOOK_URL", "a space"),
    ({"WEBHOOK_URL": "https://h:x/hunter2"}, "WEBHOOK_URL", "port"),
    ({"WEBHOOK_URL": "https://h/"}, "WEBHOOK_SECRET", "nothing, though WEBHOOK_URL is set"),
    ({"WEBHOOK_URL": "https://h/", "WEBHOOK_SECRET": "hunter2"}, "WEBHOOK_SECRET", "7 characters"),
    ({"POLY_ORDERS_PER_SECOND": "0"}, "POLY_ORDERS_PER_SECOND", "'0'"),
    ({"POLY_ORDERS_BURST": "1.5"}, "POLY_ORDERS_BURST", "'1.5'"),
    ({"POLYGON_RPC_URL": "ftp://hunter2"}, "POLYGON_RPC_URL", "13 characters"),
]


@pytest.mark.parametrize(("environ", "variable", "found"), WRONG, ids=lambda value: str(value)[:40])
def test_a_wrong_value_is_one_line_with_its_variable_and_no_secret(home, environ, variable, found):
    with pytest.raises(ConfigurationError) as caught:
        configured(home, **environ)
    line = str(caught.value)
    assert line.startswith(f"{variable}: found ")
    assert found in line
    assert ", expected " in line
    assert "\n" not in line
    assert "hunter2" not in line


def test_defaults_are_the_paper_exchange_on_loopback(home):
    told = configured(home)
    assert (told.exchange, told.host, told.port) == ("paper", "127.0.0.1", 8015)
    assert (told.paper_port, told.flower_port, told.debug) == (8016, 5555, False)
    assert told.allowed_hosts == ("localhost", "127.0.0.1", "[::1]")
    assert (told.database_url, told.redis_url, told.private_key) == (None, None, None)


def test_empty_values_count_as_not_set(home):
    assert configured(home, PORT="", DATABASE_URL=" ").port == 8015


def test_parts_make_a_url_with_its_special_characters_quoted(home):
    told = configured(home, DB_HOST="db", DB_PASSWORD="p@ss/word", REDIS_HOST="::1")
    assert told.database_url == "postgres://polytrader:p%40ss%2Fword@db:5432/polytrader"
    assert told.redis_url == "redis://[::1]:6379/0"


def test_the_environment_wins_over_dotenv_over_the_running_instance(home, tmp_path):
    home.mkdir()
    running = {"pid": os.getpid(), "database_url": "postgres://a@b/running", "redis_url": None}
    write_private_json(home / "running.json", running | {"port": 9001, "flower_port": 9002})
    dotenv = tmp_path / ".env"
    dotenv.write_text("PORT=9003 # inline\nexport REDIS_URL='redis://dotenv:1/0'\n# comment\n")
    told = load({"POLYTRADER_HOME": str(home), "REDIS_URL": "redis://env:1/0"}, dotenv=dotenv)
    assert told.redis_url == "redis://env:1/0"
    assert told.port == 9003
    assert told.flower_port == 9002
    assert told.database_url == "postgres://a@b/running"


def test_parts_in_the_environment_win_over_a_url_in_dotenv(home, tmp_path):
    dotenv = tmp_path / ".env"
    dotenv.write_text("DATABASE_URL=postgres://u@dotenv/d\nDB_PASSWORD=secret\n")
    told = load({"POLYTRADER_HOME": str(home), "DB_HOST": "env"}, dotenv=dotenv)
    assert told.database_url == "postgres://polytrader:secret@env:5432/polytrader"


def test_reading_dotenv_leaves_the_environment_alone(home, tmp_path):
    dotenv = tmp_path / ".env"
    dotenv.write_text("POLYTRADER_MARK=1\n")
    load({"POLYTRADER_HOME": str(home)}, dotenv=dotenv)
    assert "POLYTRADER_MARK" not in os.environ


def test_a_line_of_dotenv_that_is_none_is_named_by_number_only(tmp_path):
    dotenv = tmp_path / ".env"
    dotenv.write_text("PORT=1\nhunter2\n")
    with pytest.raises(ConfigurationError, match="line 2") as caught:
        load({}, dotenv=dotenv)
    assert "hunter2" not in str(caught.value)


def test_a_dead_instance_is_not_asked(home):
    home.mkdir()
    write_private_json(
        home / "running.json", {"pid": dead_pid(), "database_url": "postgres://a@b/dead"}
    )
    assert configured(home).database_url is None


def test_an_instance_whose_end_nobody_asked_about_is_dead(home):
    home.mkdir()
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        write_private_json(home / "running.json", {"pid": pid, "port": 9001})
        assert configured(home).port == 8015
    finally:
        os.waitpid(pid, 0)


def dead_pid() -> int:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return pid


def test_secrets_are_made_once_for_their_owner_only(home):
    made = ensure_secrets(home)
    assert ensure_secrets(home) == made == load_secrets(home)
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert stat.S_IMODE((home / "secrets.json").stat().st_mode) == 0o600
    assert [entry.name for entry in home.iterdir()] == ["secrets.json"]


def test_no_secret_shows_in_a_repr(home):
    made = ensure_secrets(home)
    told = configured(
        home,
        POLY_API_SECRET="hunter2",
        DATABASE_URL="postgres://u:hunter2@h/d",
        WEBHOOK_URL="https://h/hunter2",
        WEBHOOK_SECRET="hunter2" * 3,
    )
    shown = repr(told) + repr(made)
    values = json.loads((home / "secrets.json").read_text())
    assert "hunter2" not in shown
    assert [name for name, value in values.items() if value in shown] == ["owner"]


def test_the_owner_is_the_address_of_the_key(home):
    from eth_account import Account

    made = ensure_secrets(home)
    assert Account.from_key(made.private_key).address == made.owner


def test_missing_secrets_are_added_and_known_ones_kept(home):
    made = ensure_secrets(home)
    stored = json.loads((home / "secrets.json").read_text())
    del stored["redis_password"]
    write_private_json(home / "secrets.json", stored)
    again = ensure_secrets(home)
    assert again.private_key == made.private_key
    assert again.owner == made.owner
    assert again.redis_password


def test_broken_secrets_are_refused_and_not_replaced(home):
    ensure_secrets(home)
    (home / "secrets.json").write_text('{"private')
    with pytest.raises(ConfigurationError, match="POLYTRADER_HOME"):
        ensure_secrets(home)
    assert (home / "secrets.json").read_text() == '{"private'


def test_a_home_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match=r"POLYTRADER_HOME: found the file"):
        configured(tmp_path / "file")


def test_paper_falls_back_on_the_generated_key_and_live_never(home):
    made = ensure_secrets(home)
    assert configured(home).private_key == made.private_key
    live = configured(home, EXCHANGE="live", POLY_PRIVATE_KEY=KEY[2:].upper())
    assert live.private_key == KEY
    assert (live.relayer_key, live.binance_api_key, live.binance_api_secret) == (None,) * 3


@pytest.mark.parametrize("role", ["beat", "flower", "paper", "release", "unheard-of"])
def test_a_role_that_does_not_sign_is_handed_no_key(home, role):
    ensure_secrets(home)
    told = configured(
        home,
        POLYTRADER_ROLE=role,
        POLY_PRIVATE_KEY=KEY,
        POLY_API_SECRET="a",
        POLY_RELAYER_KEY="b",
        BINANCE_API_SECRET="c",
    )
    assert (told.private_key, told.api_secret, told.relayer_key) == (None, None, None)
    assert (told.binance_api_key, told.binance_api_secret) == (None, None)
    assert (told.token is not None) == (role == "release")
    assert (told.admin_password is not None) == (role == "release")
    assert (told.flower_password is not None) == (role == "flower")


@pytest.mark.parametrize("role", sorted(SIGNING_ROLES))
def test_a_role_that_signs_is_handed_the_key_and_no_login(home, role):
    ensure_secrets(home)
    told = configured(home, POLYTRADER_ROLE=role)
    assert told.private_key is not None
    assert (told.token, told.admin_password, told.flower_password) == (None, None, None)


def test_a_live_process_that_does_not_sign_starts_without_the_key(home):
    assert configured(home, EXCHANGE="live", POLYTRADER_ROLE="beat").private_key is None


@pytest.mark.parametrize("role", ["web", "monitor", "minter", "beat", "flower", "paper", "release"])
def test_only_who_delivers_alerts_is_told_where_and_signed_how(home, role):
    webhook = {"WEBHOOK_URL": "https://h/x", "WEBHOOK_SECRET": "s" * 16}
    told = configured(home, POLYTRADER_ROLE=role, **webhook)
    assert (told.webhook_url, told.webhook_secret) == (None, None)
    worker = configured(home, POLYTRADER_ROLE="worker", **webhook)
    assert (worker.webhook_url, worker.webhook_secret) == ("https://h/x", "s" * 16)
    assert webhook.items() <= of_process("worker", configured(home, **webhook), webhook).items()
    assert not webhook.keys() & of_process(role, configured(home, **webhook), webhook).keys()


def test_the_signers_rate_is_that_of_the_standard_tier_unless_told(home):
    told = configured(home)
    assert (told.orders_per_second, told.orders_burst) == (40, 60)
    told = configured(home, POLY_ORDERS_PER_SECOND="600", POLY_ORDERS_BURST="900")
    assert (told.orders_per_second, told.orders_burst) == (600, 900)
