"""The embedded servers: started, stopped, killed, and found again, as root too."""

import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import psycopg
import pytest

from launch import identity
from launch.errors import LaunchError
from launch.locks import Lock
from launch.postgres import EmbeddedPostgres, find_binaries
from launch.redis import EmbeddedRedis
from polytrader.variables import ROOT

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has to drop its rights")


def rows(url: str) -> int:
    with psycopg.connect(url) as session:
        session.execute("create table if not exists t (n int)")
        session.execute("insert into t values (1)")
        (count,) = session.execute("select count(*) from t").fetchone() or (0,)
        return int(count)


def redis_says(server: EmbeddedRedis, *words: str) -> list[str]:
    text = "".join(f"${len(word)}\r\n{word}\r\n" for word in words)
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as session:
        session.sendall(f"AUTH {server.password}\r\n*{len(words)}\r\n{text}QUIT\r\n".encode())
        return b"".join(iter(lambda: session.recv(4096), b"")).decode().split("\r\n")


@pytest.fixture
def postgres(tmp_path):
    server = EmbeddedPostgres(tmp_path / "postgres", password="p")
    yield server
    server.stop()


@pytest.fixture
def redis(tmp_path):
    server = EmbeddedRedis(tmp_path / "redis", password="p")
    yield server
    server.stop()


def test_postgres_keeps_its_rows_and_its_port(postgres):
    first = postgres.start()
    assert rows(first) == 1
    postgres.stop()
    again = EmbeddedPostgres(postgres.directory, password="p")
    try:
        assert again.start() == first
        assert rows(first) == 2
    finally:
        again.stop()


def test_a_killed_postgres_recovers_what_it_acknowledged(postgres):
    url = postgres.start()
    rows(url)
    os.kill(postgres.pid, signal.SIGKILL)
    postgres.stop()
    assert rows(postgres.start()) == 2


def test_a_stale_pid_file_with_a_living_number_does_not_block_the_start(postgres):
    postgres.start()
    postgres.stop()
    (postgres.data / "postmaster.pid").write_text(f"{os.getpid()}\n{postgres.data}\n")
    assert rows(postgres.start()) == 1


def test_a_half_made_cluster_is_made_again(postgres):
    (postgres.directory / "data.new").mkdir(parents=True)
    (postgres.directory / "data.new" / "junk").write_text("")
    assert rows(postgres.start()) == 1


def test_a_taken_port_is_chosen_anew(postgres, redis):
    for server in (postgres, redis):
        server.directory.mkdir()
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            taken = other.getsockname()[1]
            (server.directory / "port").write_text(str(taken))
            server.start()
        assert server.port != taken
        assert int((server.directory / "port").read_text()) == server.port


def test_a_second_server_on_the_same_directory_is_refused(redis, monkeypatch):
    monkeypatch.setattr("launch.server._PATIENCE_WITH_LAST_RUN", 0)
    redis.start()
    with pytest.raises(LaunchError, match="another redis still serves"):
        EmbeddedRedis(redis.directory, password="p").start()


def test_a_lost_password_is_told(postgres):
    postgres.start()
    postgres.stop()
    with pytest.raises(LaunchError, match=r"secrets\.json"):
        EmbeddedPostgres(postgres.directory, password="other").start()


def test_postgres_sorts_out_characters_beyond_ascii_and_flushes(postgres):
    with psycopg.connect(postgres.start()) as session:
        assert session.execute("select lower('ÄÖ'), upper('é')").fetchone() == ("äö", "É")
        assert session.execute("show fsync").fetchone() == ("on",)
        assert session.execute("show synchronous_commit").fetchone() == ("on",)


def test_redis_keeps_what_it_was_told_and_wants_its_password(redis):
    redis.start()
    assert redis_says(redis, "SET", "k", "v")[:2] == ["+OK", "+OK"]
    redis.stop()
    redis.start()
    assert "v" in redis_says(redis, "GET", "k")
    redis.password = ""
    assert any("NOAUTH" in line for line in redis_says(redis, "GET", "k"))


def test_the_password_of_redis_is_not_on_the_command_line(redis):
    redis.password = "hunter2"
    redis.start()
    assert "hunter2" not in " ".join(redis.command().argv)
    assert stat.S_IMODE((redis.directory / "valkey.conf").stat().st_mode) == 0o600


@as_root
def test_root_below_a_closed_directory_looks_like_nobody(tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    server = EmbeddedPostgres(closed / "postgres", password="p")
    try:
        assert rows(server.start()) == 1
        assert server.identity.prefix[:1] == ("unshare",)
        assert stat.S_IMODE(closed.stat().st_mode) == 0o700
    finally:
        server.stop()


@as_root
@pytest.mark.skipif(
    not identity._enters(find_binaries() / "postgres"), reason="the project is closed to nobody"
)
def test_root_drops_to_nobody_where_nobody_may_enter_and_takes_the_data_along():
    ways = []
    with tempfile.TemporaryDirectory() as home:  # below /tmp, which everybody may enter
        for mode in (0o700, 0o711):
            Path(home).chmod(mode)
            server = EmbeddedPostgres(Path(home) / "postgres", password="p")
            try:
                url = server.start()
                ways.append((server.identity.user, rows(url)))
            finally:
                server.stop()
    assert ways == [(None, 1), ("nobody", 2)]


@as_root
def test_root_without_any_way_is_told_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(identity, "_can_unshare", lambda: False)
    monkeypatch.setattr(identity, "_enters", lambda path: False)
    with pytest.raises(LaunchError, match="DATABASE_URL"):
        EmbeddedPostgres(tmp_path / "postgres", password="p").start()


STARTER = """
import sys, time
from pathlib import Path
from launch.postgres import EmbeddedPostgres
from launch.redis import EmbeddedRedis
home = Path(sys.argv[1])
EmbeddedPostgres(home / "postgres", password="p").start()
EmbeddedRedis(home / "redis", password="p").start()
print("up", flush=True)
time.sleep(600)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's death signal")
def test_kill_9_of_the_starter_leaves_no_server(tmp_path):
    starter = subprocess.Popen(
        [sys.executable, "-c", STARTER, str(tmp_path)], stdout=subprocess.PIPE, cwd=ROOT
    )
    assert starter.stdout is not None
    assert starter.stdout.readline() == b"up\n"
    starter.kill()
    starter.wait()
    starter.stdout.close()
    for name in ("postgres", "redis"):  # held by the servers as long as they live
        with Lock(tmp_path / name / "lock") as lock:
            assert lock.take(10)
