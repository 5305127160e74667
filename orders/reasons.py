"""What a leg says of itself that others look for. Pure."""

HELD_AT_LIMIT = "held at its slippage limit"
"""An exit's market is beyond how far it may go: it waits for the price to come back."""
