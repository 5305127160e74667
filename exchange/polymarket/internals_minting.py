"""The contract calls of a conversion and their signatures for the relayer, as the official client has them.

Like `internals.py`: private parts of a pinned version, held by `tests/exchange/test_internals.py`,
loaded where they are used. Its own `split_position` fetches a nonce, signs, submits and, on a
mismatch, signs anew in one call: a lost answer would mint twice. These are its parts.
"""

from typing import Literal, cast

from eth_account import Account as EthAccount
from eth_account.signers.local import LocalAccount
from polymarket._internal.actions.relayer.calls import (
    TransactionCall,
    ctf_merge_positions_call,
    ctf_redeem_positions_call,
    ctf_split_position_call,
    encode_proxy_call,
    encode_safe_multisend_call,
    erc20_approval_call,
    erc1155_set_approval_for_all_call,
)
from polymarket._internal.actions.relayer.gasless import (
    build_deposit_wallet_payload,
    build_proxy_payload,
    build_safe_payload,
)
from polymarket._internal.actions.relayer.signing.deposit_wallet import sign_deposit_wallet_batch
from polymarket._internal.actions.relayer.signing.proxy import (
    build_proxy_transaction_hash,
    sign_proxy_message,
)
from polymarket._internal.actions.relayer.signing.safe import sign_safe_transaction
from polymarket._internal.environment import PRODUCTION_CONFIG
from polymarket.types import EvmAddress

Call = TransactionCall
"""One call of a contract: `to`, `data` and a `value` of 0."""


def conversion_call(
    kind: Literal["split", "merge", "redeem"],
    adapter: str,
    collateral: str,
    condition_id: str,
    amount: int,
) -> Call:
    """Return the adapter's call for a conversion of `amount` base units (redeem: of everything)."""
    target, money = EvmAddress(adapter), EvmAddress(collateral)
    if kind == "redeem":
        return ctf_redeem_positions_call(ctf=target, collateral=money, condition_id=condition_id)
    make = {"split": ctf_split_position_call, "merge": ctf_merge_positions_call}[kind]
    return make(target=target, collateral=money, condition_id=condition_id, amount=amount)


def collateral_approval_call(token: str, spender: str, amount: int) -> Call:
    """Return the ERC-20 approval of exactly `amount` base units."""
    return erc20_approval_call(
        token_address=EvmAddress(token), spender=EvmAddress(spender), amount=amount
    )


def tokens_approval_call(tokens: str, operator: str, approved: bool) -> Call:
    """Return the ERC-1155 approval of all outcome tokens, or its end."""
    return erc1155_set_approval_for_all_call(
        token_address=EvmAddress(tokens), operator=EvmAddress(operator), approved=approved
    )


def signed_batch(
    private_key: str, wallet: str, calls: list[Call], nonce: int, deadline: int
) -> dict[str, object]:
    """Return the relayer's envelope of calls signed for a deposit wallet; sends nothing."""
    signer = _signer(private_key)
    signature = sign_deposit_wallet_batch(
        signer,
        wallet=EvmAddress(wallet),
        calls=calls,
        nonce=str(nonce),
        deadline=str(deadline),
        chain_id=PRODUCTION_CONFIG.chain_id,
    )
    return build_deposit_wallet_payload(
        signer_address=signer.address,
        deposit_wallet_factory=PRODUCTION_CONFIG.wallet_derivation.deposit_wallet_factory,
        wallet=EvmAddress(wallet),
        calls=calls,
        nonce=str(nonce),
        deadline=str(deadline),
        signature=signature,
        metadata="",
    )


def signed_safe_transaction(
    private_key: str, wallet: str, calls: list[Call], nonce: int
) -> dict[str, object]:
    """Return the relayer's envelope of calls signed for a Safe; several go through multisend."""
    signer, call, operation = _signer(private_key), calls[0], 0
    if len(calls) > 1:
        multisend = EvmAddress(PRODUCTION_CONFIG.safe_multisend)
        call, operation = Call(multisend, encode_safe_multisend_call(calls)), 1
    signature = sign_safe_transaction(
        signer,
        safe_address=EvmAddress(wallet),
        to=call.to,
        data=call.data,
        value=call.value,
        operation=operation,
        nonce=str(nonce),
        chain_id=PRODUCTION_CONFIG.chain_id,
    )
    return build_safe_payload(
        signer_address=signer.address,
        wallet=EvmAddress(wallet),
        target=call.to,
        data=call.data,
        value=call.value,
        operation=operation,
        nonce=str(nonce),
        signature=signature,
        metadata="",
    )


def proxy_call(calls: list[Call]) -> Call:
    """Return the call of the proxy factory that makes an owner's proxy make these calls."""
    return Call(
        EvmAddress(PRODUCTION_CONFIG.wallet_derivation.proxy_factory), encode_proxy_call(calls)
    )


def signed_proxy_transaction(
    private_key: str, wallet: str, call: Call, nonce: int, relay: str, gas_limit: int
) -> dict[str, object]:
    """Return the relayer's envelope of a `proxy_call`, signed for the relay that will send it."""
    signer, hub = _signer(private_key), PRODUCTION_CONFIG.relay_hub
    digest = build_proxy_transaction_hash(
        from_address=EvmAddress(signer.address),
        to=call.to,
        data=call.data,
        relayer_fee="0",
        gas_price="0",
        gas_limit=str(gas_limit),
        nonce=str(nonce),
        relay_hub=EvmAddress(hub),
        relay=EvmAddress(relay),
    )
    return build_proxy_payload(
        signer_address=signer.address,
        proxy_factory=str(call.to),
        wallet=EvmAddress(wallet),
        data=call.data,
        nonce=str(nonce),
        signature=sign_proxy_message(signer, digest),
        gas_limit=str(gas_limit),
        relay=EvmAddress(relay),
        relay_hub=hub,
        metadata="",
    )


def _signer(private_key: str) -> LocalAccount:
    return cast(LocalAccount, EthAccount.from_key(private_key))
