"""The whole system as `make run` starts it, looked at from outside; begin with `installation.py`."""
