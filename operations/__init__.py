"""What a person watches: health, queue status, the admin, the commands.

Read `status.py` next, then `health.py`.
"""
