"""Polygon contracts that orders and splits name; a test holds them against the client's own."""

CHAIN_ID = 137
STANDARD_EXCHANGE = "0xE111180000d2663C0091e4f400237545B87B996B"
NEG_RISK_EXCHANGE = "0xe2222d279d744050d28e00520010520000310F59"
CONDITIONAL_TOKENS = "0x4D97DCd97eC945f40cF65F87097ACe5EA0476045"
COLLATERAL = "0xC011a7E12a19f7B1f670d46F03B03f3342E82DFB"
COLLATERAL_ADAPTER = "0xAdA100Db00Ca00073811820692005400218FcE1f"
NEG_RISK_COLLATERAL_ADAPTER = "0xadA2005600Dec949baf300f4C6120000bDB6eAab"
RELAY_HUB = "0xD216153c06E857cD7f72665E0aF1d7D82172F494"
"""Counts the nonces of proxies' owners."""

BRIDGED_USDC = "0x2791Bca1f2de4661ED88A30C99A7a9449Aa84174"
"""USDC.e, what the standard adapter really splits."""
WRAPPED_COLLATERAL = "0x3A3BD7bb9528E159577F7C2e685CC81A765002E2"
"""What the neg-risk adapter really splits (github.com/Polymarket/neg-risk-ctf-adapter)."""


def exchange_for(neg_risk: bool) -> str:
    """Return the contract that settles orders of such a market."""
    return NEG_RISK_EXCHANGE if neg_risk else STANDARD_EXCHANGE
