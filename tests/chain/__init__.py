"""A real chain for tests: anvil with the real ConditionalTokens at the production addresses.

Read `node.py` next; tests of other packages use its fixtures by importing `tests.chain.fixtures`.
"""
