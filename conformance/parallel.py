# SPDX-License-Identifier: MIT
"""Run several workers at once, each in a thread of its own and with adapters of its own."""

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

_ItemT_contra = TypeVar("_ItemT_contra", contravariant=True)
_DoneT_co = TypeVar("_DoneT_co", covariant=True)
_END_S = 10  # seconds for a worker to end once its adapters are dead


class Worker(Protocol[_ItemT_contra, _DoneT_co]):
    """Works on items, one after the other."""

    def work(self, item: _ItemT_contra) -> _DoneT_co:
        """Return the result of the item."""

    def interrupt(self) -> None:
        """Kill the adapters, from another thread, so that `work` returns soon."""

    def end(self) -> None:
        """End the adapters and forget them."""


def in_parallel(
    items: Sequence[_ItemT_contra], make: Callable[[], Worker[_ItemT_contra, _DoneT_co]], jobs: int
) -> Iterator[_DoneT_co]:
    """Yield the result of each item as it arrives. When the iterator ends, the adapters end too.

    `make` returns a new worker. `jobs`: how many workers there are at most.
    """
    waiting: queue.SimpleQueue[_ItemT_contra] = queue.SimpleQueue()
    done: queue.SimpleQueue[_DoneT_co | BaseException] = queue.SimpleQueue()
    stopped = threading.Event()
    for item in items:
        waiting.put(item)

    def run(worker: Worker[_ItemT_contra, _DoneT_co]) -> None:
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
