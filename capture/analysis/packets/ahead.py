"""An iterator -> the same items, made ahead by a thread: two CPUs work, if maker and consumer release the GIL."""

import queue
import threading
from collections.abc import Iterator
from typing import TypeVar

Item = TypeVar("Item")


class _End:
    """Mark behind the last item, with the error that ended the iterator, if any."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


def ahead(items: Iterator[Item], most: int) -> Iterator[Item]:
    """Return the items of an iterator, of which at most `most` exist at a time.

    An item exists while it is made, while it waits, and until the consumer asks for the next. Raises what `items`
    raises, after the items before that.
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
