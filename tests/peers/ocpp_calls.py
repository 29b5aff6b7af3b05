"""What both OCPP peers share: sending a call and printing its answer."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from lines import emit
from ocpp.charge_point import remove_nones, serialize_as_dict, snake_to_camel_case
from ocpp.exceptions import OCPPError
from ocpp.v16 import ChargePoint
from websockets.exceptions import ConnectionClosed

# The package reports what it refuses through logging; stderr shows it when a test fails.
logging.basicConfig(level=logging.WARNING)


def request_in(words: list[str], request_for: Callable[[list[str]], Any | None]) -> Any | None:
    """The call that `words` ask for; None, with a line that says so, if they ask for none."""
    try:
        request = request_for(words)
    except ValueError:  # a word where a number belongs
        request = None
    if request is None:
        emit({"error": "unknown command", "line": " ".join(words)})
    return request


async def call_and_print(link: ChargePoint, request: Any) -> None:
    """Sends `request` and prints its answer, or what came instead of one."""
    action = type(request).__name__
    try:
        answer = await link.call(request, suppress=False)
        payload = snake_to_camel_case(remove_nones(serialize_as_dict(answer)))
        emit({"answer_to": action, "payload": payload})
    except OCPPError as error:
        # A CALLERROR, or an answer (or a request of ours) that breaks the official schema.
        emit({"answer_to": action, "error": error.code, "description": error.description})
    except asyncio.TimeoutError:
        emit({"answer_to": action, "error": "Timeout"})
    except ConnectionClosed:
        emit({"answer_to": action, "error": "ConnectionClosed"})
