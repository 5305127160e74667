"""Polymarket behind the port: `trading.py` (exchange), `minting.py`, `user_stream.py`.

Read `internals.py` for all that is taken from the official client's private parts. Importing
this package loads neither the client nor the libraries it brings.
"""
