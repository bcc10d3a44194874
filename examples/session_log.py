# SPDX-License-Identifier: MIT
"""Several processes log one conversation, and one follows it: `session_log.py LOG SPEAKER...`.

Each speaker is a process of its own. It appends to LOG what it says, and reads there what the
others say. The main process prints each message once it is in the log. The log is kept: run the
program again, and the conversation continues.
"""

import json
import multiprocessing
import signal
import sys
import threading
from dataclasses import asdict, dataclass
from multiprocessing.process import BaseProcess
from typing import Self

from omnelog import LineLog, OmnelogError, follow_log, scan_log

WORDS = ("hello", "how are you?", "goodbye")


@dataclass(frozen=True)
class Message:
    """What one speaker said, and how many messages it had heard by then."""

    speaker: str
    text: str
    heard: int

    def to_json(self) -> str:
        """Return the message as one line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: bytes) -> Self:
        """Return the message of a line."""
        return cls(**json.loads(line))


def speak(path: str, speaker: str) -> None:
    """Say all words. Each speaker does so in its own process, at the same time as the others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # only the process that prints handles Ctrl-C
    try:
        with LineLog(path, encode=Message.to_json, decode=Message.from_json) as log:
            for text in WORDS:
                heard = scan_log(path, decode=Message.from_json).records
                log.append(Message(speaker, text, len(heard)))
    except OmnelogError as error:
        sys.exit(f"session_log.py: {speaker}: {error}")


def stop_after(speakers: list[BaseProcess], stop: threading.Event) -> None:
    """Set `stop` once all speakers have ended."""
    for speaker in speakers:
        speaker.join()
    stop.set()


def main(path: str, *names: str) -> int:
    """Print the conversation while it takes place; return the exit status."""
    LineLog(path).close()  # creates the log, so that it can be followed
    speakers: list[BaseProcess] = [
        multiprocessing.Process(target=speak, args=(path, name)) for name in names
    ]
    for speaker in speakers:
        speaker.start()
    stop = threading.Event()
    threading.Thread(target=stop_after, args=(speakers, stop)).start()
    for message in follow_log(path, decode=Message.from_json, stop=stop):
        print(f"{message.speaker}: {message.text}", flush=True)
    return max((speaker.exitcode or 0 for speaker in speakers), default=0)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit("usage: session_log.py LOG SPEAKER...")
    try:
        sys.exit(main(*sys.argv[1:]))
    except OmnelogError as error:
        sys.exit(f"session_log.py: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
