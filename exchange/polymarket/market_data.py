"""Public reads: prices, instruments, fees. Needs no key and does not load the official client."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from exchange.errors import Rejected, Unavailable
from exchange.polymarket.connections import Connection
from exchange.polymarket.failures import Trouble
from exchange.polymarket.signing import token_number
from exchange.polymarket.wire import Unreadable, decimal, moment
from exchange.quantising import QUANTITY_STEP, require_known_tick
from exchange.types import Book, InstrumentInfo, Quote, RejectionCode

ROWS_PER_REQUEST = 500
_BidAsk = tuple[Decimal | None, Decimal | None]
_FEE_STEP = Decimal("0.00001")


@dataclass(frozen=True, slots=True)
class FeeSchedule:
    """A market's taker fee: quantity * rate * (price * (1 - price)) ** exponent."""

    rate: Decimal = Decimal(0)
    exponent: Decimal = Decimal(0)
    taker_only: bool = True

    def fee(self, quantity: Decimal, price: Decimal, *, is_taker: bool) -> Decimal:
        """Return the fee in collateral, to 5 decimals (docs.polymarket.com/trading/fees)."""
        if self.taker_only and not is_taker:
            return Decimal(0)
        fee = quantity * self.rate * (price * (1 - price)) ** self.exponent
        return fee.quantize(_FEE_STEP, rounding=ROUND_HALF_UP)


class MarketData:
    """The venue's public side."""

    def __init__(self, clob: Connection, gamma: Connection) -> None:
        self._clob = clob
        self._gamma = gamma
        self._fees: dict[str, FeeSchedule] = {}

    def quotes(self, symbols: Iterable[str]) -> dict[str, Quote]:
        """Return best bid and ask of many tokens, one request per 500.

        A batch takes at most 500 rows. `/prices` needs two rows for a token, so more than
        250 tokens are asked for by `/books`, whose answer is larger. Tokens without any
        price are left out; so are texts that are no token ids.
        """
        tokens = [token for token in dict.fromkeys(symbols) if token.isascii() and token.isdigit()]
        found: dict[str, Quote] = {}
        for start in range(0, len(tokens), ROWS_PER_REQUEST):
            batch = tokens[start : start + ROWS_PER_REQUEST]
            read = self._prices if 2 * len(batch) <= ROWS_PER_REQUEST else self._books
            try:
                answer = read(batch)
            except Trouble as trouble:
                raise trouble.of_reading() from None
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                raise Unavailable(f"Polymarket's prices are unreadable: {error}") from None
            now = datetime.now(UTC)
            found |= {
                token: Quote(token, bid, ask, now)
                for token, (bid, ask) in answer.items()
                if bid is not None or ask is not None
            }
        return found

    def _prices(self, tokens: Sequence[str]) -> dict[str, _BidAsk]:
        # side BUY is what buyers bid, SELL what sellers ask
        # (docs.polymarket.com/api-reference/market-data/get-market-price)
        rows = [{"token_id": token, "side": side} for token in tokens for side in ("BUY", "SELL")]
        answer = self._clob.post("/prices", rows)
        if not isinstance(answer, Mapping):
            raise Unreadable(f"expected prices by token, found {type(answer).__name__}")
        return {
            token: (_price(answer[token].get("BUY")), _price(answer[token].get("SELL")))
            for token in tokens
            if token in answer
        }

    def books(self, symbols: Iterable[str]) -> dict[str, Book]:
        """Return whole books with the last trade's price, one request per 500 tokens."""
        tokens = [token for token in dict.fromkeys(symbols) if token.isascii() and token.isdigit()]
        found: dict[str, Book] = {}
        for start in range(0, len(tokens), ROWS_PER_REQUEST):
            try:
                rows = self._book_rows(tokens[start : start + ROWS_PER_REQUEST])
                now = datetime.now(UTC)
                found |= {str(row["asset_id"]): _book(row, now) for row in rows}
            except Trouble as trouble:
                raise trouble.of_reading() from None
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                raise Unavailable(f"Polymarket's books are unreadable: {error}") from None
        return found

    def _book_rows(self, tokens: Sequence[str]) -> Any:
        return self._clob.post("/books", [{"token_id": token} for token in tokens])

    def _books(self, tokens: Sequence[str]) -> dict[str, _BidAsk]:
        # never by position: REST sorts asks downwards, the stream's examples upwards
        return {
            str(book["asset_id"]): (
                max((decimal(level["price"]) for level in book["bids"]), default=None),
                min((decimal(level["price"]) for level in book["asks"]), default=None),
            )
            for book in self._book_rows(tokens)
        }

    def instrument(self, symbol: str) -> InstrumentInfo:
        """Describe an outcome token; `Rejected` for anything that cannot be traded here."""
        token_number(symbol)
        try:
            condition_id = str(self._clob.get(f"/markets-by-token/{symbol}")["condition_id"])
            market = self._clob.get(f"/clob-markets/{condition_id}")
            details = self._details(condition_id)
            self._fees[condition_id] = _fee_schedule(market)
            return _instrument(symbol, condition_id, market, details)
        except Trouble as trouble:
            raise trouble.of_reading() from None
        except (KeyError, TypeError, ValueError) as error:
            raise Unavailable(
                f"Polymarket's description of {symbol} is unreadable: {error}"
            ) from None

    def fee_schedule(self, condition_id: str) -> FeeSchedule:
        """Return a market's fees, asked for once per process."""
        if (known := self._fees.get(condition_id)) is not None:
            return known
        try:
            schedule = _fee_schedule(self._clob.get(f"/clob-markets/{condition_id}"))
        except Trouble as trouble:
            raise trouble.of_reading() from None
        except (TypeError, ValueError) as error:
            raise Unavailable(
                f"Polymarket's fees of {condition_id} are unreadable: {error}"
            ) from None
        return self._fees.setdefault(condition_id, schedule)

    def server_time(self) -> datetime:
        """Return the venue's clock, in whole seconds."""
        try:
            return moment(self._clob.get("/time"))
        except Trouble as trouble:
            raise trouble.of_reading() from None
        except Unreadable as error:
            raise Unavailable(f"Polymarket's time is unreadable: {error}") from None

    def _details(self, condition_id: str) -> Mapping[str, Any]:
        # Gamma hides closed markets unless asked for them (since 2026-04-09).
        for closed in ("false", "true"):
            answer = self._gamma.get(
                "/markets/keyset",
                {"condition_ids": condition_id, "closed": closed, "limit": "1"},
            )
            rows = answer.get("markets") or answer.get("data") or []
            if rows:
                details: Mapping[str, Any] = rows[0]
                return details
        return {}


def _book(row: Mapping[str, Any], now: datetime) -> Book:
    return Book(
        symbol=str(row["asset_id"]),
        bids=_levels(row["bids"], is_bid=True),
        asks=_levels(row["asks"], is_bid=False),
        last=_price(row.get("last_trade_price")),
        received_at=now,
        told_at=_told_at(row),
    )


def _told_at(row: Mapping[str, Any]) -> int:
    said = str(row.get("timestamp") or "")
    return int(said) if said.isascii() and said.isdigit() else 0


def _levels(
    rows: Iterable[Mapping[str, Any]], *, is_bid: bool
) -> tuple[tuple[Decimal, Decimal], ...]:
    """Return levels best first; REST and stream sort them differently."""
    levels = ((decimal(row["price"]), decimal(row["size"])) for row in rows)
    offered = [level for level in levels if 0 < level[0] < 1 and level[1] > 0]
    return tuple(sorted(offered, reverse=is_bid))


def _price(value: object) -> Decimal | None:
    if value is None or value == "":
        return None
    price = decimal(value)
    return price if 0 < price < 1 else None


def _fee_schedule(market: Mapping[str, Any]) -> FeeSchedule:
    fees = market.get("fd")
    if not isinstance(fees, Mapping):
        return FeeSchedule()
    return FeeSchedule(decimal(fees.get("r", 0)), decimal(fees.get("e", 0)), fees.get("to", True))


def _instrument(
    symbol: str, condition_id: str, market: Mapping[str, Any], details: Mapping[str, Any]
) -> InstrumentInfo:
    version = str(details.get("version") or "v1").lower()
    if version != "v1":
        raise Rejected(
            RejectionCode.UNKNOWN_INSTRUMENT,
            f"{symbol} belongs to a market of Polymarket's Protocol {version.upper()}, "
            "which is not supported",
        )
    tokens = {str(token["t"]): str(token.get("o", "")) for token in market["t"]}
    if symbol not in tokens:
        raise Unreadable("the market does not name this token")
    tick_size = decimal(market["mts"])
    require_known_tick(tick_size)
    fees = _fee_schedule(market)
    return InstrumentInfo(
        symbol=symbol,
        venue="polymarket",
        tick_size=tick_size,
        min_quantity=decimal(market["mos"]),
        quantity_step=QUANTITY_STEP,
        base_asset=symbol,
        quote_asset="collateral",
        condition_id=condition_id,
        complement=next((token for token in tokens if token != symbol), ""),
        outcome=tokens[symbol],
        question=str(details.get("question") or ""),
        neg_risk=market.get("nr") is True,
        neg_risk_id=str(details.get("negRiskMarketID") or ""),
        fee_rate=fees.rate,
        fee_exponent=int(fees.exponent),
        accepting_orders=_is_open(details),
        is_closed=details.get("closed") is True,
    )


def _is_open(details: Mapping[str, Any]) -> bool:
    return (
        details.get("closed") is not True
        and details.get("acceptingOrders") is not False
        and details.get("active") is not False
    )
