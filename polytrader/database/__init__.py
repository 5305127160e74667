"""Django's Postgres backend, whose connections are known to be alive without asking them."""
