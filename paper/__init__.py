"""The paper exchange: a local Polymarket and spot venue that the real client libraries trade on.

A process of its own (`python -m paper`). Read `app.py` for what it serves, `orders.py` for an order's way.
"""
