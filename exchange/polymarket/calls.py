"""From a conversion to the contract calls that a wallet signs; tokens are checked before.

The adapters: Polymarket/ctf-exchange-v2 `src/adapters`. They take the arguments of
ConditionalTokens and ignore all but condition and amount.
"""

from typing import TYPE_CHECKING

from exchange.errors import Rejected
from exchange.polymarket.positions import position_id
from exchange.polymarket.settings import Contracts
from exchange.quantising import base_units
from exchange.types import Approval, Conversion, RejectionCode

if TYPE_CHECKING:
    from exchange.polymarket.internals_minting import Call

_WITHOUT_END = 2**256 - 1


def conversion_call(conversion: Conversion, contracts: Contracts) -> "Call":
    """Return the adapter's call.

    Raises `Rejected`: `wrong_tokens` when the market's token ids are not those the chain
    would make, `min_size` and `precision` for an amount it cannot take.
    """
    from exchange.polymarket import internals_minting as internals

    _require_tokens(conversion)
    amount = base_units(conversion.quantity)
    if amount <= 0 and conversion.kind != "redeem":
        raise Rejected(
            RejectionCode.MIN_SIZE, f"expected a positive amount, found {conversion.quantity}"
        )
    return internals.conversion_call(
        conversion.kind,
        contracts.adapter_for(conversion.neg_risk),
        contracts.collateral,
        conversion.condition_id,
        amount,
    )


def approval_call(approval: Approval, contracts: Contracts) -> "Call":
    """Return the call that lets the spender move what the approval says."""
    from exchange.polymarket import internals_minting as internals

    if approval.amount is None:
        tokens = contracts.conditional_tokens
        return internals.tokens_approval_call(tokens, approval.spender, True)
    without_end = approval.amount.is_infinite()
    amount = _WITHOUT_END if without_end else base_units(approval.amount)
    return internals.collateral_approval_call(contracts.collateral, approval.spender, amount)


def batch(conversion: Conversion, approval: Approval | None, contracts: Contracts) -> list["Call"]:
    """Return the calls of one batch: the approval, the conversion, the end of the approval.

    An approval of collateral is used up by the split. One of outcome tokens would stand for
    ever, so it ends with the batch that needed it.
    """
    from exchange.polymarket import internals_minting as internals

    call = conversion_call(conversion, contracts)
    if approval is None:
        return [call]
    calls = [approval_call(approval, contracts), call]
    if approval.amount is None:
        tokens = contracts.conditional_tokens
        calls.append(internals.tokens_approval_call(tokens, approval.spender, False))
    return calls


def _require_tokens(conversion: Conversion) -> None:
    try:
        expected = tuple(
            position_id(conversion.condition_id, index, conversion.neg_risk) for index in (0, 1)
        )
    except ValueError as error:
        raise Rejected(RejectionCode.WRONG_TOKENS, str(error)) from None
    if expected != conversion.tokens:
        raise Rejected(
            RejectionCode.WRONG_TOKENS,
            f"condition {conversion.condition_id} makes tokens {expected[0]} and {expected[1]}, "
            f"the market names {' and '.join(conversion.tokens)}: nothing is signed for it",
        )
