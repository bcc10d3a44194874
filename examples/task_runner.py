# SPDX-License-Identifier: MIT
"""A task runner that logs itself: `task_runner.py TASKS.toml [JOBS]`, within an omne volume.

Each table of TASKS.toml is a task: its `command`, and the tasks that it comes `after`, if any. Up
to JOBS commands run at once. A task that depends on a failed task is not run. A task may run this
program again: the new process then adds its tasks to the same run, while other tasks run.
"""

import os
import subprocess
import sys
import tomllib
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any  # a task may have any values that TOML has

from omnelog import ErrorKind, NodeKind, OmnelogError, find_omne_root
from omnelog.recording import RUN_VARIABLE, NodeFailure, Run, node_id_for


def perform(run: Run, name: str, command: str) -> None:
    """Run one command as a node; its output is in the node's capture."""
    node_id = node_id_for(f"{run.outer_node_id}/{name}" if run.outer_node_id else name)
    with run.node(node_id, NodeKind.COMMAND, name=command) as node:
        with node.capture_path.open("wb") as output:
            environment = {**os.environ, **node.environ}
            done = subprocess.run(
                command, shell=True, stdout=output, stderr=output, env=environment, check=False
            )
        if done.returncode:
            raise NodeFailure(ErrorKind.CRASH, f"exit status {done.returncode}")


def perform_all(run: Run, tasks: dict[str, Any], jobs: int) -> None:
    """Run all tasks, each as soon as those before it have succeeded."""
    order = TopologicalSorter({name: task.get("after", ()) for name, task in tasks.items()})
    order.prepare()
    running: dict[Future[None], str] = {}
    failed = []
    with ThreadPoolExecutor(jobs) as pool:
        while order.is_active():
            for name in order.get_ready():
                running[pool.submit(perform, run, name, tasks[name]["command"])] = name
            if not running:
                break  # every task that is left waits for a task that failed
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                name = running.pop(future)
                if future.exception() is None:
                    order.done(name)
                else:
                    failed.append(f"{name} ({future.exception()})")
    if failed:
        raise NodeFailure(ErrorKind.CRASH, f"failed: {', '.join(failed)}")


def main(path: str, jobs: str = "4") -> None:
    """Run the tasks of the file at `path` in a new run, or in the run that started this process."""
    tasks = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    root = find_omne_root(".") or "."
    in_a_run = bool(os.environ.get(RUN_VARIABLE))
    try:
        with Run.join() if in_a_run else Run.start(root, "tasks", version="1.0") as run:
            perform_all(run, tasks, int(jobs))
    except (NodeFailure, OmnelogError) as error:
        sys.exit(f"task_runner: {error}")
    except KeyboardInterrupt:
        sys.exit("task_runner: interrupted")


if __name__ == "__main__":
    main(*sys.argv[1:])
