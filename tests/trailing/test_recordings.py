"""Recordings: every format named is read, and a bad file is told of in words."""

import gzip
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from tests.recorded_data import recorded_file
from trailing.recordings import Happening, RecordingError, read_recording

CHANGES = "timestamp_ms,event_type,asset_id,side,price,size,best_bid,best_ask\n"


def read(path: Path, name: str, text: str) -> dict[str, list[Happening]]:
    file = path / name
    file.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return read_recording(file)


def test_changes_of_books_are_read_by_token_and_in_the_order_of_time(tmp_path: Path):
    text = CHANGES + (
        "2000000002000,PRICE_CHANGE,a,BID,0.31,198.0,0.35,0.39\n"
        "2000000001000,PRICE_CHANGE,b,ASK,0.69,0,0,0.65\n"
        "2000000001000,LAST_TRADE,a,BID,0.36,5,0,0\n"
    )
    found = read(tmp_path, "x.csv.gz", text)
    at = datetime(2033, 5, 18, 3, 33, 21, tzinfo=UTC)
    trade, change = found["a"]
    assert trade == Happening("a", at, traded=Decimal("0.36"))
    assert (change.bid, change.ask) == (Decimal("0.35"), Decimal("0.39"))
    assert change.level == (True, Decimal("0.31"), Decimal(198))
    assert (found["b"][0].bid, found["b"][0].level) == (None, (False, Decimal("0.69"), Decimal(0)))


def test_quotes_with_an_empty_side_have_no_price_there(tmp_path: Path):
    text = "ts,slug,category,bid,ask\n2026-07-11T00:01:35Z,wnba,sports,,0.6\n"
    [quote] = read(tmp_path, "x.csv", text)["wnba"]
    assert (quote.at, quote.bid, quote.ask) == (
        datetime(2026, 7, 11, 0, 1, 35, tzinfo=UTC),
        None,
        Decimal("0.6"),
    )


def test_a_price_feed_is_one_instrument_named_after_its_file(tmp_path: Path):
    text = "feed_ts_ms,value,recv_ms\n1784851200000,65048.078902260626,1784851201377\n"
    [price] = read(tmp_path, "btc.csv.gz", text)["btc"]
    exact = Decimal("65048.078902260626")
    assert (price.bid, price.ask, price.traded) == (exact, exact, exact)


def test_bars_go_to_the_nearer_extreme_first(tmp_path: Path):
    text = (
        "timestamp,open,high,low,close,volume\n"
        "2022-01-20 00:00:00.000000,10,14,9,12,1\n"
        "2022-01-20 00:01:00.000000,12,13,8,9,1\n"
    )
    path = [happening.bid for happening in read(tmp_path, "x.csv", text)["x"]]
    assert path == [10, 9, 14, 12, 12, 13, 8, 9]


def test_bars_without_a_header_take_their_day_from_the_name(tmp_path: Path):
    rows = "0,10,12,9,11,5\n60000,11,11,10,10,5\n"
    found = read(tmp_path, "bybit_btcusdt_1m_20221213.csv.gz", rows)["bybit_btcusdt_1m_20221213"]
    assert found[0].at == datetime(2022, 12, 13, tzinfo=UTC)
    assert found[-1].at == datetime(2022, 12, 13, 0, 1, 45, tzinfo=UTC)


def test_bars_of_quotes_have_both_sides_and_no_trade(tmp_path: Path):
    found = read(tmp_path, "q_20221213.csv", "0,10,12,9,11,0.5,11,13,10,12,0.4\n")["q_20221213"]
    assert [(one.bid, one.ask, one.traded) for one in found][:2] == [(10, 11, None), (9, 10, None)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "found nothing"),
        (CHANGES, "found no row"),
        ("slug,question,category\n", "expected the columns of one of"),
        ("1,2,3\n", "found 3 columns without a header"),
        (CHANGES + "1,PRICE_CHANGE,a,BID,x,1,0.3,0.4\n", "line 2: unreadable: expected a number"),
        (CHANGES + "1,PRICE_CHANGE,a,BID,NaN,1,0.3,0.4\n", "line 2: unreadable: expected a number"),
        (CHANGES + "1,PRICE_CHANGE,a,BID,0,1,0.3,0.4\n", "line 2: unreadable: expected a price"),
        (CHANGES + "1,PRICE_CHANGE,a,UP,0.3,1,0.3,0.4\n", "expected BID or ASK, found 'UP'"),
        (CHANGES + "1,PRICE_CHANGE,a\n", "expected 8 columns, found 3"),
        (CHANGES + "9999999999999999,LAST_TRADE,a,BID,0.3,1,0,0\n", "line 2: unreadable"),
        (CHANGES + "soon,LAST_TRADE,a,BID,0.3,1,0,0\n", "line 2: unreadable"),
        ("0,10,12,9,11,5\n60000,11,-1,10,10,5\n", "line 2: unreadable: expected a number"),
    ],
)
def test_a_bad_file_is_told_of_in_words(tmp_path: Path, text: str, said: str):
    with pytest.raises(RecordingError, match=said):
        read(tmp_path, "x.csv", text)


def test_files_that_are_no_text_or_cut_off_or_not_there_are_told_of(tmp_path: Path):
    whole = gzip.compress((CHANGES + "1,LAST_TRADE,a,BID,0.3,1,0,0\n" * 999).encode())
    broken = whole[:40] + bytes(40) + whole[80:]
    for name, content in (
        ("cut.csv.gz", whole[:-20]),
        ("broken.csv.gz", broken),
        ("plain.csv.gz", b"no gzip"),
        ("x.parquet", b"PAR1\xff\xfe"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(RecordingError, match=f"{name}: expected a CSV or gzipped CSV"):
            read_recording(tmp_path / name)
    for path in (tmp_path, tmp_path / "nowhere.csv"):
        with pytest.raises(RecordingError, match="no such file"):
            read_recording(path)


def test_the_real_recordings_are_read():
    changes = read_recording(recorded_file("clob-ticks/polymarket_20260607_0130.csv.gz"))
    assert (len(changes), sum(map(len, changes.values()))) == (12, 206_848)
    for name, rows in (("binance_btcbusd_1m", 5760), ("bybit_btcusdt_1m_quotes", 2884)):
        [happenings] = read_recording(
            recorded_file(f"reference-prices/{name}_20221213.csv.gz")
        ).values()
        assert len(happenings) == rows
        assert happenings[-1].at - happenings[0].at < timedelta(days=1)
