"""Mint jobs: collateral is split into outcome tokens again for what was really sold.

Read `models.py` next, then `requesting.py` and `splitting.py`.
"""
