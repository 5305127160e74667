"""`manage.py replay`: a table of what stops would have done, without a database or a running system."""

from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

QUOTES = """ts,slug,bid,ask
2026-07-11T00:00:00Z,up,0.50,0.51
2026-07-11T00:00:10Z,up,0.60,0.61
2026-07-11T00:00:20Z,up,0.54,0.55
2026-07-11T00:00:25Z,up,0.57,0.58
2026-07-11T00:01:00Z,up,0.40,0.41
2026-07-11T00:05:00Z,up,0.40,0.42
2026-07-11T00:00:00Z,flat,0.30,0.31
2026-07-11T00:05:00Z,flat,0.30,0.32
"""


@pytest.fixture
def recording(tmp_path: Path) -> str:
    path = tmp_path / "quotes.csv"
    path.write_text(QUOTES)
    return str(path)


def replayed(*arguments: str) -> list[str]:
    out, err = StringIO(), StringIO()
    call_command("replay", *arguments, stdout=out, stderr=err)
    return (out.getvalue() + err.getvalue()).splitlines()


def row_of(lines: list[str], symbol: str) -> list[str]:
    return next(line for line in lines if line.startswith(symbol)).split()[3:]


def test_each_instrument_has_its_row_with_the_ideal_exit_and_the_one_got(recording: str):
    lines = replayed(recording, "--percent", "10")
    assert row_of(lines, "up") == [
        "0.54", "00:00:20.0", "00:00:21.0", "trail", "0.54", "0.0", "1.06", "s", "yes",
    ]  # fmt: skip
    assert row_of(lines, "flat") == ["-"] * 7
    assert any("1 of 2 stops fired, 1 of them falsely" in line for line in lines)


def test_the_options_are_those_of_a_stop(recording: str):
    lines = replayed(
        recording, "--amount", "0.02", "--side", "buy", "--symbol", "up", "--confirm-updates", "1",
        "--activation-price", "0.45", "--stop-price", "0.99", "--take-profit-price", "0.41",
    )  # fmt: skip
    assert row_of(lines, "up")[:5] == ["0.41", "00:01:00.0", "00:01:00.0", "profit", "0.41"]
    assert not any(line.startswith("flat") for line in lines)


def test_a_floor_ends_what_the_trail_would_not(recording: str):
    lines = replayed(recording, "--percent", "50", "--stop-price", "0.45", "--symbol", "up")
    assert row_of(lines, "up")[:4] == ["0.45", "00:01:00.0", "00:01:00.0", "floor"]


def test_seeded_stops_are_the_same_again(recording: str):
    seeded = ("--ticks", "2", "--count", "20", "--seed", "7")
    assert replayed(recording, *seeded) == replayed(recording, *seeded)
    assert replayed(recording, *seeded) != replayed(recording, *seeded[:-1], "8")


def test_a_stop_that_would_be_refused_is_named(recording: str):
    lines = replayed(recording, "--percent", "1")
    assert any("2 of these stops would be refused" in line for line in lines)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--percent", "5", "--amount", "0.1"), "not allowed with"),
        ((), "one of the arguments --percent --amount --ticks is required"),
        (("--percent", "100"), "between 0 and 100"),
        (("--percent", "nan"), "expected a number above zero"),
        (("--amount", "-1"), "expected a number above zero"),
        (("--ticks", "1.5"), "expected a whole number"),
        (("--percent", "5", "--at", "noon"), "expected a moment"),
        (("--percent", "5", "--at", "2027-01-01"), "the recording ends at 2026-07-11T00:05"),
        (("--percent", "5", "--symbol", "down"), "no instrument's name begins with 'down'"),
    ],
)
def test_a_wrong_option_is_told_of_in_words(recording: str, arguments: tuple[str, ...], said: str):
    with pytest.raises(CommandError, match=said):
        replayed(recording, *arguments)


def test_a_file_that_is_no_recording_is_told_of_in_words(tmp_path: Path):
    (tmp_path / "x.csv").write_text("a,b\n1,2\n")
    with pytest.raises(CommandError, match=r"x\.csv: expected the columns of one of"):
        replayed(str(tmp_path / "x.csv"), "--percent", "5")
    with pytest.raises(CommandError, match="there is no such file"):
        replayed(str(tmp_path / "y.csv"), "--percent", "5")
