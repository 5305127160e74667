"""Polymarket behind the port: the exchange in `trading.py`, the minter in `minting.py`.

Read `internals.py` for all that is taken from the official client's private parts. Importing
this package loads neither the client nor the libraries it brings.
"""
