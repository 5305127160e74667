"""The Django project: settings, URLs, tokens and scopes, errors as HTTP, the base row.

Read `rows.py` next: how a row changes its state; then `orders/__init__.py`.
"""
