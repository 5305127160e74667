"""The admin: everything can be looked at, nothing can be edited; cancel and retry act through `move`.

`looking.py` says what every page shares; then `stops.py`, `trades.py`, `trading.py`,
`minting.py`, `keeping.py`, `alerts.py`.
"""

from django.contrib import admin

from operations.admin import alerts, keeping, minting, stops, trades, trading

admin.site.index_template = "operations/index.html"

__all__ = ["alerts", "keeping", "minting", "stops", "trades", "trading"]
