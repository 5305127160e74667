"""An order request in Binance's words: its type, its time in force. Pure."""

from exchange.errors import Rejected
from exchange.quantising import is_on_grid
from exchange.types import OrderRequest, OrderType, RejectionCode

_TIME_IN_FORCE: dict[OrderType, str] = {"GTC": "GTC", "FAK": "IOC", "FOK": "FOK"}


def order(request: OrderRequest, order_id: str) -> dict[str, str]:
    """Return the parameters of a new order; raises `Rejected` for what spot does not have."""
    if request.order_type == "GTD" or request.expires_at is not None:
        raise Rejected(RejectionCode.EXPIRATION, "Binance spot has no orders that expire")
    if request.post_only and request.order_type != "GTC":
        raise Rejected(
            RejectionCode.POST_ONLY, f"post-only goes with GTC, not with {request.order_type}"
        )
    if request.quantity <= 0 or not is_on_grid(request.price, request.tick_size):
        raise Rejected(
            RejectionCode.TICK_SIZE,
            f"expected a positive quantity at a multiple of {request.tick_size}, "
            f"found {request.quantity} at {request.price}",
        )
    kind = {"type": "LIMIT_MAKER"}
    if not request.post_only:
        kind = {"type": "LIMIT", "timeInForce": _TIME_IN_FORCE[request.order_type]}
    return {
        "symbol": request.symbol,
        "side": request.side.upper(),
        **kind,
        "quantity": f"{request.quantity.normalize():f}",  # no zeros of a column's 20 decimals
        "price": f"{request.price.normalize():f}",
        "newClientOrderId": order_id,
        "newOrderRespType": "RESULT",
    }
