"""Polymarket behind the port: `trading.py` (exchange), `minting.py`, `user_stream.py`.

Read `internals.py` and `internals_minting.py` for all that is taken from the official client's
private parts, `relayed.py` and `direct.py` for the two ways to convert. Importing this package
loads neither the client nor the libraries it brings.
"""
