"""Kills processes at every point between two effects and looks at what is left afterwards.

Read `laboratory.py` (one kill and its recovery) first, then `scenario.py` and `verdict.py`.
"""
