"""An iterator -> the same items, made by a thread ahead of whoever takes them: where both run outside of the
interpreter's lock, on two CPUs.
"""

import queue
import threading
from collections.abc import Iterator
from typing import TypeVar

Item = TypeVar("Item")


class _End:
    """Behind the last item: what ended it, if it was an error."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


def ahead(items: Iterator[Item], most: int) -> Iterator[Item]:
    """At most so many items exist at a time: in the making, waiting, or taken and not yet followed by the next.

    Raises what `items` raises, after the items before that.
    """
    room, made, stopped = threading.Semaphore(most), queue.SimpleQueue[Item | _End](), threading.Event()

    def make() -> None:
        error: BaseException | None = None
        try:
            while room.acquire() and not stopped.is_set():
                made.put(next(items))
        except StopIteration:
            pass
        except BaseException as raised:
            error = raised
        made.put(_End(error))

    thread = threading.Thread(target=make, name="ahead", daemon=True)
    thread.start()
    try:
        while True:
            item = made.get()
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            yield item
            room.release()
    finally:
        stopped.set()
        room.release()
        thread.join()
