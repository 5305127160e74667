"""The book: what we trade, what we hold, every order from planned to settled.

Read `models.py` next, then `planning.py`, `sending.py` and `reconciling.py`, in the order of an order's life.
"""
