"""What is decided: signals become trades, the position manager sees them through.

Read `rules.py` first (the decisions, pure), then `managing.py` (what is due), `signals.py`.
"""
