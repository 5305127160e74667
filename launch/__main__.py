"""`python -m launch run | test | crash-test | clean`, which is what the Makefile calls."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from launch.errors import LaunchError
from launch.output import complain
from polytrader.variables import ROOT, ConfigurationError


def main(arguments: list[str] | None = None) -> int:
    """Do what the command line says; 2 for a wrong configuration, 1 for a failed start."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        if given[:1] == ["test"]:  # everything after it is pytest's
            from launch.testing import test

            return test(given[1:])
        if given[:1] == ["crash-test"]:
            from launch.testing import crash_test

            return crash_test(given[1:])
        return _dispatch(_parser().parse_args(given))
    except ConfigurationError as error:
        complain(f"polytrader: {error}")
        return 2
    except LaunchError as error:
        complain(f"polytrader: {error}")
    except OSError as error:  # disk full, no permission
        what = f" {error.filename}" if error.filename else ""
        complain(f"polytrader: the system refuses{what}: {error.strerror or error}")
    except KeyboardInterrupt:
        return 130
    return 1


def _dispatch(chosen: argparse.Namespace) -> int:
    if chosen.what == "clean":
        from launch.cleaning import clean

        return clean()
    from launch.supervisor import Options, run

    return run(Options(procfile=chosen.procfile.absolute(), reload=chosen.reload))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m launch", description=__doc__)
    commands = parser.add_subparsers(dest="what", required=True)
    run = commands.add_parser("run", help="run everything in the foreground")
    run.add_argument("--reload", action="store_true", help="restart when a source file changes")
    run.add_argument("--procfile", type=Path, default=ROOT / "Procfile")
    commands.add_parser("test", help="run pytest (its arguments follow) with its own servers")
    commands.add_parser("crash-test", help="kill processes at every point (its arguments follow)")
    commands.add_parser("clean", help="remove the embedded data, after asking")
    return parser


if __name__ == "__main__":
    sys.exit(main())
