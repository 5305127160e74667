"""What is decided: the position manager now; signals and scanners later.

Read `tasks.py` next: `manage-position` reconciles the orders of one trade.
"""
