"""What an order costs besides the network: milliseconds to sign and to post, imports, memory.

Run: python -m bench.signing
"""

import json
import multiprocessing
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from decimal import Decimal
from statistics import median

from exchange.polymarket.settings import Account, Credentials, Endpoints
from exchange.polymarket.signing import OrderSigner
from exchange.polymarket.trading import PolymarketExchange
from exchange.polymarket.wallets import Wallet, WalletKind, address_of, deposit_wallet_of
from exchange.types import OrderRequest

KEY = "0x" + "11" * 32
TOKEN = "107505882767731489358349912513945399560393482969656700824895970500493757150417"
SELL = OrderRequest(TOKEN, "sell", Decimal(10), Decimal("0.5"), Decimal("0.01"))
ROUNDS = 2000

READ = "from exchange.polymarket.trading import PolymarketExchange; import httpx"
SIGN = "import exchange.polymarket.internals"
SPOT = "from binance_common.configuration import ConfigurationRestAPI; import binance_common.utils"
WHOLE_SPOT = "import binance_sdk_spot"


def milliseconds_per_signature(kind: WalletKind) -> float:
    """Sign `ROUNDS` orders of one wallet and return the mean."""
    owner = address_of(KEY)
    signer = OrderSigner(KEY, Wallet(owner, deposit_wallet_of(owner), kind))
    signer.sign(SELL)
    started = time.perf_counter()
    for _ in range(ROUNDS):
        signer.sign(SELL)
    return (time.perf_counter() - started) / ROUNDS * 1000


def milliseconds_by_the_client() -> float:
    """Sign the same typed data the official client's way, for comparison."""
    from eth_account import Account
    from polymarket._internal.actions.orders.typed_data import build_order_typed_data
    from polymarket._internal.actions.orders.types import BYTES32_ZERO, UnsignedOrder

    from exchange.polymarket.addresses import STANDARD_EXCHANGE

    key, owner = Account.from_key(KEY), address_of(KEY)
    order = UnsignedOrder(
        chain_id=137,
        builder=BYTES32_ZERO,
        exchange_address=STANDARD_EXCHANGE,  # type: ignore[arg-type]
        expiration=0,
        maker=owner,  # type: ignore[arg-type]
        maker_amount=10_000_000,
        metadata=BYTES32_ZERO,
        order_type="FAK",
        salt=1,
        side="SELL",
        signature_type=3,
        signer=owner,  # type: ignore[arg-type]
        taker_amount=5_000_000,
        timestamp=1763765000000,
        token_id=TOKEN,  # type: ignore[arg-type]
    )
    started = time.perf_counter()
    for _ in range(200):
        key.sign_typed_data(full_message=build_order_typed_data(order))
    return (time.perf_counter() - started) / 200 * 1000


def milliseconds_per_post() -> tuple[float, float]:
    """Post to a local socket that answers at once; return our median, and that of a bare one."""
    listener = socket.create_server(("127.0.0.1", 0))
    address = listener.getsockname()
    credentials = Credentials("k" * 36, "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3I=", "pp")
    account = Account(KEY, address_of(KEY), credentials)
    exchange = PolymarketExchange(Endpoints.paper(f"http://127.0.0.1:{address[1]}"), account)
    signed = exchange.sign(SELL)
    answer = json.dumps({"success": True, "orderID": signed.order_id, "status": "live"}).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(answer)}"
    venue = multiprocessing.get_context("fork").Process(
        target=answer_forever, args=(listener, head.encode() + b"\r\n\r\n" + answer), daemon=True
    )
    venue.start()
    try:
        with socket.create_connection(address) as connection:
            bare = median_of(lambda: round_trip(connection))
        exchange.log_in()
        return median_of(lambda: exchange.post(signed)), bare
    finally:
        venue.kill()


def answer_forever(listener: socket.socket, answer: bytes) -> None:
    """Answer each request of one connection after the other, whatever it asks."""
    while True:
        connection, _ = listener.accept()
        asked = b""
        while more := connection.recv(65536):
            asked += more
            head, end, body = asked.partition(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0] or 0)
            if end and len(body) == length:
                connection.sendall(answer)
                asked = b""


def round_trip(connection: socket.socket) -> None:
    """Ask and be answered without any library."""
    connection.sendall(b"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n")
    connection.recv(65536)


def median_of(call: Callable[[], object]) -> float:
    """Return the median milliseconds of `ROUNDS` calls, after the first few."""
    taken = []
    for _ in range(ROUNDS + 20):
        started = time.perf_counter()
        call()
        taken.append(time.perf_counter() - started)
    return median(taken[20:]) * 1000


def seconds_and_megabytes(statement: str) -> tuple[float, float]:
    """Import in a fresh process; return the seconds and the resident memory after it."""
    code = (
        "import time; started = time.perf_counter()\n"
        f"{statement}\n"
        "print(time.perf_counter() - started)\n"
        "print(next(line.split()[1] for line in open('/proc/self/status') if 'VmRSS' in line))"
    )
    run = [sys.executable, "-c", code]
    seconds, kilobytes = subprocess.run(
        run, capture_output=True, text=True, check=True
    ).stdout.split()
    return float(seconds), int(kilobytes) / 1024


def main() -> None:
    """Print one table."""
    print(f"{'order signed, EOA':44} {milliseconds_per_signature('eoa'):8.3f} ms")
    print(
        f"{'order signed, deposit wallet':44} {milliseconds_per_signature('deposit_wallet'):8.3f} ms"
    )
    print(f"{'the same by the official client':44} {milliseconds_by_the_client():8.3f} ms")
    ours, bare = milliseconds_per_post()
    print(f"{'order posted to a local socket':44} {ours:8.3f} ms")
    print(f"{'the same round trip by a bare socket':44} {bare:8.3f} ms")
    for name, statement in (
        ("bare Python", "pass"),
        ("a process that only reads", READ),
        ("a process that signs (the client loaded)", SIGN),
        ("Binance's request engine", SPOT),
        ("Binance's whole spot package", WHOLE_SPOT),
    ):
        seconds, megabytes = seconds_and_megabytes(statement)
        print(f"{name:44} {seconds:8.2f} s {megabytes:6.0f} MB")


if __name__ == "__main__":
    main()
