"""The WSGI application that gunicorn serves."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "polytrader.settings")

application = get_wsgi_application()

if os.environ.get("POLYTRADER_ROLE") == "web":
    # It rings bells and sends the orders of signals: the first request should not wait for
    # the broker's library or the venue's client to load.
    import celery_app  # noqa: F401
    from orders.starting import wake_up

    wake_up(after=5.0)
