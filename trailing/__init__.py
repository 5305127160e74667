"""Trailing stops: the arithmetic, the rows, the tick that evaluates them, the stream and the
monitor that call it.

Read `maths.py` next, then `models.py`, `tick.py` and `stream.py`.
"""
