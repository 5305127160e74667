"""Which minter a wallet has: a contract wallet's calls are relayed, an EOA sends its own."""

from exchange.polymarket.connections import Connection
from exchange.polymarket.direct import DirectMinter
from exchange.polymarket.relayed import RelayedMinter
from exchange.polymarket.relayer import Relayer
from exchange.polymarket.rpc import Rpc
from exchange.polymarket.settings import Account, Contracts, Endpoints, Sending, Timeouts
from exchange.polymarket.wallets import wallet_of
from exchange.port import Minter


def minter_of(
    endpoints: Endpoints,
    account: Account,
    timeouts: Timeouts | None = None,
    contracts: Contracts | None = None,
    sending: Sending | None = None,
) -> Minter:
    """Return the minter of the account's wallet; makes no request, loads the official client.

    Raises `Rejected('not_allowed')` for a wallet that is not the key's.
    """
    timeouts, contracts = timeouts or Timeouts(), contracts or Contracts()
    wallet = wallet_of(account)
    sending = sending or Sending()
    rpc = Rpc(Connection(endpoints.rpc, timeouts))
    if wallet.kind == "eoa":
        return DirectMinter(rpc, account, wallet, contracts, sending)
    relayer = Relayer(
        Connection(endpoints.relayer, timeouts),
        wallet,
        account.relayer_key,
        account.relayer_address,
    )
    return RelayedMinter(relayer, rpc, account, wallet, contracts, sending.confirmations)
