"""How a test talks to a peer: command lines on stdin, JSON lines on stdout."""

import asyncio
import json
import sys
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

EMIT_LOCK = threading.Lock()


def emit(line: dict[str, Any]) -> None:
    """Prints one JSON line, at once, whichever thread it comes from."""
    with EMIT_LOCK:
        print(json.dumps(line), flush=True)


def on_each_line(handle: Callable[[list[str]], None], at_end: Callable[[], None]) -> None:
    """Calls `handle` with the words of each line of stdin, on a thread of its own.

    `at_end` is called when the test closed its end, so that no peer outlives its test.
    """

    def read() -> None:
        for line in sys.stdin:
            if words := line.split():
                handle(words)
        at_end()

    threading.Thread(target=read, daemon=True).start()


async def commands() -> AsyncIterator[list[str]]:
    """The words of each line of stdin; ends when the test closes its end."""
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[list[str] | None] = asyncio.Queue()

    def put(words: list[str] | None) -> None:
        loop.call_soon_threadsafe(queue.put_nowait, words)

    on_each_line(put, lambda: put(None))
    while (words := await queue.get()) is not None:
        yield words
