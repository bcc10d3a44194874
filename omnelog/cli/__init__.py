# SPDX-License-Identifier: MIT
"""The `omnelog` command: its command line, and the boundary that no traceback crosses.

A sub-package that a vendored copy can leave out: the core never imports it, and it uses nothing of
the core but its public names.
"""

import sys
from collections.abc import Sequence

from .. import OmnelogError
from . import append, arguments, record, show, streams
from .exits import FINDINGS, INTERRUPTED, PIPE_CLOSED, RECORDER, Refused
from .root import volume_root


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv`, without the program's name; by default the process's own.

    Returns the exit status: 0; 1 for what is said on standard error; 2 for a wrong command line;
    130 after an interrupt; 141 where nobody reads the output; for `record` the recorded command's,
    or 125. Raises nothing that a user, a file or the system could cause. For the main thread.
    """
    streams.occupy_closed()
    words = list(sys.argv[1:] if argv is None else argv)
    trouble = RECORDER if arguments.verb(words) == "record" else FINDINGS
    try:
        try:
            return _run(words)
        finally:
            streams.flush()
    except SystemExit as stop:  # argparse has said why
        return stop.code if isinstance(stop.code, int) else trouble
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        streams.give_up_output()
        return PIPE_CLOSED
    except (OmnelogError, Refused) as error:
        streams.complain(f"omnelog: {error}")
    except OSError as error:
        streams.give_up_output()
        streams.complain(f"omnelog: {error.filename or 'standard output'}: {error.strerror}")
    return trouble


def _run(words: list[str]) -> int:
    given = arguments.parse(words)
    root = volume_root(given.root)
    match given.verb:
        case "record":
            return record.record(root, given.node, given.command, pipe=given.pipe, run_id=given.run)
        case "show":
            return show.show(root, given.run, as_json=given.json)
        case "runs":
            return show.runs(root)
        case _:
            return append.append(root, given.run)
