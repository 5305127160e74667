"""The mint queue: collateral is split for what was sold, pairs are merged, resolved tokens redeemed.

Read `models.py` next, then `draining.py`, which leads to the rest.
"""
