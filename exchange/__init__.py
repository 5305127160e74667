"""The outside world behind one port: prices, orders, trades, balances and splits.

Read `port.py` next: what every venue must offer; then `types.py` and `errors.py`.
"""
