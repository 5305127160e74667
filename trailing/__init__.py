"""Trailing stops: the arithmetic, the rows, the tick that evaluates them, the monitor that calls it.

Read `maths.py` next, then `models.py` and `tick.py`.
"""
