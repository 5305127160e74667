"""The control API, its refusals, and what it shows."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from tests.paper_process import wait_until

BAD_INPUT = [
    ("PUT", "/paper/books/{token}", {"bids": [["0.48", "-1"]]}),
    ("PUT", "/paper/books/{token}", {"bids": [["0.485", "1"]]}),
    ("PUT", "/paper/books/{token}", {"bids": [["0.50", "1"]], "asks": [["0.50", "1"]]}),
    ("PUT", "/paper/books/{token}", {"bids": [["1", "1"]]}),
    ("PUT", "/paper/books/{token}", {"bids": [["0.4"]]}),
    ("PUT", "/paper/books/{token}", {"bids": "0.4"}),
    ("PUT", "/paper/books/{token}", {"bid": []}),
    ("PUT", "/paper/books/{token}", []),
    ("PUT", "/paper/prices/BTCUSDT", {"price": "0"}),
    ("PUT", "/paper/prices/BTCUSDT", {"price": "NaN"}),
    ("PUT", "/paper/prices/BTCUSDT", {}),
    ("POST", "/paper/faults", {"on": "POST /order", "kind": "nonsense"}),
    ("POST", "/paper/faults", {"on": "POST /order", "kind": "slow:x"}),
    ("POST", "/paper/faults", {"on": "order", "kind": "http_500"}),
    ("POST", "/paper/faults", {"on": "POST /order", "kind": "http_500", "times": -1}),
    ("POST", "/paper/faults", {"on": "POST /order", "kind": "http_500", "times": "1"}),
    ("POST", "/paper/faults", {}),
    ("POST", "/paper/feed", {"state": "odd"}),
    ("POST", "/paper/balances", {"wallet": "0x12", "asset": "collateral", "amount": "1"}),
    ("POST", "/paper/balances", {"asset": "gold", "amount": "1"}),
    ("POST", "/paper/balances", {"asset": "collateral", "amount": "-1"}),
    ("POST", "/paper/balances", {"asset": "collateral", "amount": "0.0000001"}),
    ("POST", "/paper/replay", {"file": "/nowhere.csv.gz", "speed": 20}),
    ("POST", "/paper/replay", {"file": 3}),
    ("POST", "/paper/replay", {"file": "pyproject.toml", "speed": 20}),
    ("POST", "/paper/replay", {"file": "pyproject.toml", "speed": 0}),
    ("POST", "/paper/replay", {"resume": True}),
]
HEADER = "timestamp_ms,event_type,asset_id,side,price,size,best_bid,best_ask\n"


@pytest.mark.parametrize(("method", "path", "body"), BAD_INPUT)
def test_bad_input_is_refused_and_changes_nothing(paper, method, path, body):
    token = paper.markets()[0]["tokenIds"][0]
    book = paper.http.get("/book", params={"token_id": token}).json()
    before = paper.ledger()
    answer = paper.call(method, path.format(token=token), body, 400)
    assert list(answer) == ["error"]
    assert len(answer["error"]) > 5
    assert paper.ledger() == before
    assert paper.http.get("/book", params={"token_id": token}).json()["bids"] == book["bids"]
    assert paper.call("GET", "/paper/faults") == {"faults": []}


@pytest.mark.parametrize("path", ["/", "/nothing", "/paper", "/paper/books/1", "/api/v3/nothing"])
def test_unknown_paths_are_404_in_json(paper, path):
    answer = paper.http.get(path)
    assert answer.status_code in (404, 405)
    assert answer.json()["error"]


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff\xfe", b"[" * 5000, b"null", b'{"order": 1}', b"7"]
)
@pytest.mark.parametrize(
    "path", ["/order", "/orders", "/submit", "/rpc", "/books", "/paper/faults"]
)
def test_garbage_never_breaks_it(paper, path, body):
    answer = paper.http.post(path, content=body)
    assert answer.status_code in (200, 400, 401), answer.text
    answer.json()


def test_a_body_too_large_is_refused(paper):
    answer = paper.http.post("/books", content=b"[" + b" " * (2 << 20) + b"]")
    assert answer.status_code == 413


def test_the_markets_on_offer(paper):
    markets = paper.markets()
    assert len(markets) >= 6
    for market in markets[:3]:
        assert (market["tickSize"], market["minSize"], market["negRisk"]) == ("0.01", "5", False)
    assert sum(market["negRisk"] for market in markets) == 1
    assert "0.001" in {market["tickSize"] for market in markets}
    assert set(markets[0]) == {
        "question", "conditionId", "tokenIds", "tickSize", "minSize", "negRisk",
    }  # fmt: skip


def test_the_opening_state(paper):
    (balances,) = paper.ledger()["balances"].values()
    tokens = {token for market in paper.markets() for token in market["tokenIds"]}
    assert balances == dict.fromkeys(tokens, "10000") | {
        "collateral": "100000", "BTC": "10", "ETH": "100", "USDT": "100000",
    }  # fmt: skip


def test_an_empty_side_and_the_mirror(paper):
    first, second = paper.markets()[0]["tokenIds"]
    paper.put_book(second, [("0.48", 100)], [])
    books = paper.http.post("/books", json=[{"token_id": first}, {"token_id": second}]).json()
    assert [(book["bids"], book["asks"]) for book in books] == [
        ([], [{"price": "0.52", "size": "100"}]),
        ([{"price": "0.48", "size": "100"}], []),
    ]
    assert paper.http.get("/price", params={"token_id": first, "side": "BUY"}).status_code == 404


def test_a_balance_is_set_by_a_posting(paper):
    (wallet,) = paper.ledger()["balances"]
    paper.call(
        "POST", "/paper/balances", {"wallet": wallet, "asset": "collateral", "amount": "5.5"}
    )
    assert paper.ledger()["balances"][wallet]["collateral"] == "5.5"
    paper.call("POST", "/paper/reset")
    assert paper.ledger()["balances"][wallet]["collateral"] == "100000"


def recording(path: Path) -> Path:
    """Write ten changes of one pair: the bid falls from 0.50 to 0.41 within nine seconds."""
    rows = []
    for step in range(10):
        at, bid, best_ask = 1_780_000_000_000 + 1000 * step, 50 - step, 55
        rows.append(f"{at},PRICE_CHANGE,111,BID,0.{bid},30.5,0.{bid},0.{best_ask}\n")
        rows.append(
            f"{at},PRICE_CHANGE,222,ASK,0.{100 - bid},30.5,0.{100 - best_ask},0.{100 - bid}\n"
        )
    with gzip.open(path, "wt") as out:
        out.write(HEADER + "".join(rows))
    return path


def test_a_replay_moves_its_markets_and_leaves_them_listed(paper, tmp_path):
    file = str(recording(tmp_path / "ticks.csv.gz"))
    paper.put_book(paper.markets()[0]["tokenIds"][0], [("0.31", 7)])
    started = paper.call("POST", "/paper/replay", {"file": file, "speed": 20, "hold": True})
    assert (started["running"], started["held"], started["totalRows"]) == (False, True, 20)
    (mapping,) = started["mapping"]
    assert mapping["recorded"] == ["111", "222"]
    first, second = mapping["tokenIds"]
    held = paper.http.get("/book", params={"token_id": first}).json()
    assert (held["bids"], held["asks"][-1]["price"]) == ([{"price": "0.5", "size": "100"}], "0.55")
    (balances,) = paper.ledger()["balances"].values()
    assert (balances[first], balances[second]) == ("10000", "10000")

    paper.call("POST", "/paper/replay", {"resume": True})
    done = wait_until(lambda: _finished(paper))
    assert (done["rows"], done["progress"], done["recordedAt"]) == (20, 1.0, 1_780_000_009_000)
    book = paper.http.get("/book", params={"token_id": second}).json()
    assert book["asks"][-1] == {"price": "0.59", "size": "30.5"}
    assert paper.markets()[-1]["tokenIds"] == [first, second]
    again = paper.call("POST", "/paper/replay", {"file": file, "speed": 1})
    assert again["mapping"] == [mapping]
    assert paper.call("DELETE", "/paper/replay")["running"] is False
    assert len(paper.markets()) == 7
    assert paper.ledger()["balances"][next(iter(paper.ledger()["balances"]))][first] == "10000"


def _finished(paper) -> dict | None:
    shown = paper.call("GET", "/paper/replay")
    return None if shown["running"] else shown


@pytest.mark.parametrize(
    "rows",
    [
        "",
        "1780000000000,PRICE_CHANGE,111,BID,0.5,30,0.5,0.6\n",
        "x,PRICE_CHANGE,111,BID,0.5,30,0.5,0.6\n",
        "1780000000000,PRICE_CHANGE,111,BID,1.5,30,0.5,0.6\n",
        "1780000000000,PRICE_CHANGE,111,BID,0.5,abc,0.5,0.6\n",
        "1780000000000,NONSENSE,111,BID,0.5,30,0.5,0.6\n",
        "1780000000000,PRICE_CHANGE,111,BID,0.5\n",
    ],
)
def test_a_wrong_recording_is_refused(paper, tmp_path, rows):
    file = tmp_path / "wrong.csv"
    file.write_text(HEADER + rows)
    answer = paper.call("POST", "/paper/replay", {"file": str(file)}, 400)
    assert answer["error"].startswith("file:")
    assert len(paper.markets()) == 6
