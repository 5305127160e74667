"""The supervisor behind `make run`: embedded Postgres and Redis, and every process of the Procfile.

Read `supervisor.py` next: the order of start and stop; then `processes.py`: one child's life.
"""
