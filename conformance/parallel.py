# SPDX-License-Identifier: MIT
"""Several workers at once, each in a thread of its own with adapters of its own."""

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

_Item = TypeVar("_Item", contravariant=True)
_Done = TypeVar("_Done", covariant=True)
_END_S = 10  # for a worker to end once its adapters are dead


class Worker(Protocol[_Item, _Done]):
    """Works on one item after the other."""

    def work(self, item: _Item) -> _Done:
        """Return what came of the item."""

    def interrupt(self) -> None:
        """Kill the adapters, from another thread, so that `work` returns soon."""

    def end(self) -> None:
        """End the adapters, and let go of them."""


def in_parallel(
    items: Sequence[_Item], make: Callable[[], Worker[_Item, _Done]], jobs: int
) -> Iterator[_Done]:
    """Yield what came of each item, as it comes. However the iterator ends, no adapter is left."""
    waiting: queue.SimpleQueue[_Item] = queue.SimpleQueue()
    done: queue.SimpleQueue[_Done | BaseException] = queue.SimpleQueue()
    stopped = threading.Event()
    for item in items:
        waiting.put(item)

    def run(worker: Worker[_Item, _Done]) -> None:
        try:
            while not stopped.is_set():
                done.put(worker.work(waiting.get_nowait()))
        except queue.Empty:
            pass
        except BaseException as error:  # the main thread raises it
            done.put(error)
        finally:
            worker.end()

    workers = [make() for _ in range(max(1, min(jobs, len(items))))]
    threads = [threading.Thread(target=run, args=(w,), daemon=True) for w in workers]
    for thread in threads:
        thread.start()
    try:
        for _ in items:
            came = done.get()
            if isinstance(came, BaseException):
                raise came
            yield came
    finally:
        stopped.set()
        for worker, thread in zip(workers, threads, strict=True):
            if thread.is_alive():
                worker.interrupt()
        for thread in threads:
            thread.join(_END_S)
