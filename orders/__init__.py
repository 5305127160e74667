"""The book: what we trade, what we hold, every order from planned to settled.

Read `models.py` next, then `planning.py`, `signing.py`, `posting.py`, `answering.py` and `reconciling.py`, in the
order of an order's life; `sending.py` does the three in the middle in one go.
"""
