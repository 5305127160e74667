"""`make test` and `make clean`: what they pass on, and what they refuse."""

import io

import pytest

from launch import reloading
from launch.cleaning import clean
from launch.errors import LaunchError
from launch.locks import Lock
from launch.testing import IN_PARALLEL, environment, pytest_arguments


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], [*IN_PARALLEL]),
        (["-k", "foo"], [*IN_PARALLEL, "-k", "foo"]),
        (["-n", "0"], ["-n", "0"]),
        (["-n0"], ["-n0"]),
        (["--pdb"], ["--pdb"]),
        (["-p", "no:xdist"], ["-p", "no:xdist"]),
    ],
)
def test_tests_run_in_parallel_unless_told_otherwise(given, expected):
    assert pytest_arguments(given) == expected


def test_tests_see_nothing_of_the_installation(tmp_path):
    base = {"EXCHANGE": "live", "POLY_PRIVATE_KEY": "k", "DB_HOST": "h", "PATH": "/bin", "CI": "1"}
    told = environment(tmp_path, {"DATABASE_URL": "d", "REDIS_URL": "r"}, base)
    assert told["EXCHANGE"] == "paper"
    assert told["POLYTRADER_DOTENV"] == ""
    assert told["CI"] == "1"
    assert not set(told) & {"POLY_PRIVATE_KEY", "DB_HOST"}


@pytest.fixture
def home(tmp_path, monkeypatch):
    made = tmp_path / "home"
    made.mkdir()
    (made / "secrets.json").write_text("{}")
    monkeypatch.setenv("POLYTRADER_HOME", str(made))
    monkeypatch.setattr("sys.stdin", io.StringIO())
    monkeypatch.delenv("CONFIRM", raising=False)
    return made


def test_clean_without_a_terminal_wants_a_confirmation(home, monkeypatch):
    with pytest.raises(LaunchError, match="CONFIRM=yes"):
        clean()
    assert home.exists()
    monkeypatch.setenv("CONFIRM", "yes")
    assert clean() == 0
    assert not home.exists()


def test_clean_refuses_while_an_instance_runs(home, monkeypatch):
    monkeypatch.setenv("CONFIRM", "yes")
    with Lock(home / "lock") as lock:
        assert lock.take()
        with pytest.raises(LaunchError, match="is running"):
            clean()


@pytest.mark.parametrize("strange", [".git", "manage.py"])
def test_clean_refuses_a_directory_that_holds_more(home, monkeypatch, strange):
    monkeypatch.setenv("CONFIRM", "yes")
    (home / strange).write_text("")
    with pytest.raises(LaunchError, match="remove it yourself"):
        clean()


def test_a_changed_source_file_is_seen(tmp_path):
    (tmp_path / "tests").mkdir()
    before = reloading.snapshot(tmp_path)
    (tmp_path / "tests" / "test_it.py").write_text("")
    (tmp_path / "note.txt").write_text("")
    assert reloading.snapshot(tmp_path) == before
    (tmp_path / "module.py").write_text("")
    assert reloading.snapshot(tmp_path) != before
