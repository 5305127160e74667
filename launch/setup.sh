#!/bin/sh
# Make .venv hold what the lock file named says: by uv where there is one, else by venv and pip.
# A copy of the lock file in .venv is the stamp: unchanged, this does nothing.
set -eu

lock=$1
cd "$(dirname "$0")/.."

say() { echo "set-up: $*" >&2; }

# requirements-dev.txt holds all of requirements.txt.
is_current() {
  .venv/bin/python -c '' 2>/dev/null && cmp -s "$lock" ".venv/$lock"
}

is_new_enough() {
  "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

find_python() {
  if [ -n "${PYTHON:-}" ]; then
    is_new_enough "$PYTHON" && command -v "$PYTHON" && return
    say "PYTHON=$PYTHON is $("$PYTHON" --version 2>&1 || echo 'not found'); 3.11 or newer is needed"
    return 1
  fi
  for name in python3 python3.14 python3.13 python3.12 python3.11 python; do
    if command -v "$name" >/dev/null && is_new_enough "$name"; then
      command -v "$name"
      return
    fi
  done
  say "Python 3.11 or newer is needed, found $(python3 --version 2>&1 || echo none);" \
    "install it, or name one: make run PYTHON=/path/to/python3.11"
  return 1
}

make_environment() {
  python=$(find_python)
  say "making .venv with $("$python" --version)"
  rm -rf .venv
  if command -v uv >/dev/null && uv --version >/dev/null 2>&1; then
    uv venv --quiet --no-project --python "$python" .venv
  elif ! "$python" -m venv .venv >/dev/null 2>&1; then
    rm -rf .venv
    say "$python cannot make environments; install python3-venv (Debian: apt install python3-venv)," \
      "or uv"
    return 1
  fi
}

install() {
  say "installing $lock"
  if command -v uv >/dev/null && uv --version >/dev/null 2>&1; then
    uv pip install --quiet --python .venv/bin/python --require-hashes -r "$lock"
  else
    .venv/bin/python -m pip --version >/dev/null 2>&1 || .venv/bin/python -m ensurepip -q
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r "$lock"
  fi
  cp "$lock" ".venv/$lock"
  if [ "$lock" = requirements-dev.txt ]; then cp requirements.txt .venv/; fi
}

if is_current; then exit 0; fi
if ! .venv/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
  make_environment
fi
rm -f ".venv/$lock"
install
