"""Binance spot behind the port: `BinanceExchange` in `trading.py`.

Importing this package does not load Binance's client.
"""
