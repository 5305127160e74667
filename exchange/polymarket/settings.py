"""Where the venue is and who trades there: plain values, secrets kept out of every repr."""

from dataclasses import dataclass, field

from exchange.polymarket import addresses

CONFIRMATIONS = 5
"""Blocks above a transaction that make it final, ten seconds on Polygon."""


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Base addresses of the venue's services; the defaults are production's."""

    clob: str = "https://clob.polymarket.com"
    gamma: str = "https://gamma-api.polymarket.com"
    data: str = "https://data-api.polymarket.com"
    relayer: str = "https://relayer-v2.polymarket.com"
    rpc: str = "https://polygon.drpc.org"
    user_ws: str = "wss://ws-subscriptions-clob.polymarket.com/ws/user"
    market_ws: str = "wss://ws-subscriptions-clob.polymarket.com/ws/market"

    @classmethod
    def paper(cls, base: str) -> "Endpoints":
        """Return the paper exchange's addresses, all of them one local process."""
        base = base.rstrip("/")
        sockets = f"{base.replace('http', 'ws', 1)}/ws"
        return cls(
            clob=base,
            gamma=base,
            data=base,
            relayer=base,
            rpc=f"{base}/rpc",
            user_ws=f"{sockets}/user",
            market_ws=f"{sockets}/market",
        )


@dataclass(frozen=True, slots=True)
class Contracts:
    """The contracts that minting speaks to; the venue has replaced its adapters before.

    The adapters may be named by settings, by the names that `named` has; the tokens may not,
    since the token ids follow from them.
    """

    collateral: str = addresses.COLLATERAL
    conditional_tokens: str = addresses.CONDITIONAL_TOKENS
    collateral_adapter: str = addresses.COLLATERAL_ADAPTER
    neg_risk_collateral_adapter: str = addresses.NEG_RISK_COLLATERAL_ADAPTER

    @classmethod
    def with_adapters(cls, standard: str | None, neg_risk: str | None) -> "Contracts":
        """Return production's, with those adapters that are named in place of its own."""
        return cls(
            collateral_adapter=standard or cls().collateral_adapter,
            neg_risk_collateral_adapter=neg_risk or cls().neg_risk_collateral_adapter,
        )

    def adapter_for(self, neg_risk: bool) -> str:
        """Return the contract that converts collateral for such a market."""
        return self.neg_risk_collateral_adapter if neg_risk else self.collateral_adapter

    def named(self) -> dict[str, str]:
        """Return every address by its setting, or by what it is."""
        return {
            "POLY_COLLATERAL_ADAPTER": self.collateral_adapter,
            "POLY_NEG_RISK_ADAPTER": self.neg_risk_collateral_adapter,
            "ConditionalTokens": self.conditional_tokens,
            "pUSD": self.collateral,
        }


@dataclass(frozen=True, slots=True)
class Sending:
    """How transactions are sent.

    `confirmations` is how many blocks must stand above one, `max_fee_gwei` the most that an
    EOA, which sends its own, bids per unit of gas.
    """

    confirmations: int = CONFIRMATIONS
    max_fee_gwei: int = 1000


@dataclass(frozen=True, slots=True)
class Credentials:
    """A CLOB API key; it signs requests, not orders."""

    key: str = field(repr=False)
    secret: str = field(repr=False)
    passphrase: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Account:
    """The key that signs and the wallet that trades.

    `wallet` empty means the key's deposit wallet. `credentials` left out are derived
    from the key on first use. The relayer key is what production asks of a deposit
    wallet that wants to mint; its address is the signer's where left empty.
    """

    private_key: str = field(repr=False)
    wallet: str = ""
    credentials: Credentials | None = None
    relayer_key: str = field(default="", repr=False)
    relayer_address: str = ""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds, as the official client has them."""

    connect: float = 5.0
    read: float = 10.0
    write: float = 10.0
    pool: float = 2.0
