"""A central system on the Python `ocpp` package, OCPP 1.6J, schema validation on.

Prints {"port": N} when it listens, then one line per event:

    {"connected": ID}, {"disconnected": ID}
    {"action": A, "payload": P, "charge_point": ID}   a call it received
    {"refused": CODE, "details": D}                   a call it answered with a CALLERROR
    {"answer_to": A, "payload": P}                    the answer to a call it was told to send
    {"answer_to": A, "error": CODE, ...}              a CALLERROR or nothing came instead

Lines on stdin, for the charge point that connected last:

    remote_start ID_TAG [CONNECTOR]      remote_stop TRANSACTION_ID
    get_configuration [KEY...]           change_configuration KEY VALUE
    reset Soft|Hard                      trigger MESSAGE [CONNECTOR]
    drop                                 cuts the link without a closing handshake
"""

import argparse
import asyncio
import itertools
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

from lines import commands, emit
from ocpp.routing import on
from ocpp.v16 import ChargePoint, call, call_result
from ocpp.v16.enums import Action
from ocpp_calls import call_and_print, request_in
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

CALL, CALL_ERROR = 2, 4


class LoggedConnection:
    """The socket, with each received call and each CALLERROR sent printed."""

    def __init__(self, socket: ServerConnection, charge_point_id: str) -> None:
        self.socket = socket
        self.charge_point_id = charge_point_id

    async def recv(self) -> str:
        text = str(await self.socket.recv())
        match json.loads(text):
            case [message_type, _, action, payload] if message_type == CALL:
                emit({"action": action, "payload": payload, "charge_point": self.charge_point_id})
        return text

    async def send(self, text: str) -> None:
        match json.loads(text):
            case [message_type, _, code, _, details] if message_type == CALL_ERROR:
                emit({"refused": code, "details": details})
        await self.socket.send(text)


class CentralSystem(ChargePoint):
    """One charge point's link, seen from the central system."""

    def __init__(
        self,
        charge_point_id: str,
        socket: ServerConnection,
        settings: argparse.Namespace,
        transaction_ids: Iterator[int],
    ) -> None:
        super().__init__(charge_point_id, LoggedConnection(socket, charge_point_id))
        self.socket = socket
        self.settings = settings
        self.transaction_ids = transaction_ids

    def id_tag_info(self, id_tag: str) -> dict[str, Any]:
        return {"status": "Invalid" if id_tag in self.settings.invalid else "Accepted"}

    @on(Action.boot_notification)
    def on_boot(self, **_request: Any) -> call_result.BootNotification:
        return call_result.BootNotification(now(), self.settings.interval, "Accepted")

    @on(Action.heartbeat)
    def on_heartbeat(self) -> call_result.Heartbeat:
        return call_result.Heartbeat(now())

    @on(Action.status_notification)
    def on_status(self, **_request: Any) -> call_result.StatusNotification:
        return call_result.StatusNotification()

    @on(Action.authorize)
    def on_authorize(self, id_tag: str) -> call_result.Authorize:
        return call_result.Authorize(self.id_tag_info(id_tag))

    @on(Action.start_transaction)
    def on_start(self, id_tag: str, **_request: Any) -> call_result.StartTransaction:
        return call_result.StartTransaction(next(self.transaction_ids), self.id_tag_info(id_tag))

    @on(Action.meter_values)
    def on_meter_values(self, **_request: Any) -> call_result.MeterValues:
        return call_result.MeterValues()

    @on(Action.stop_transaction)
    def on_stop(self, id_tag: str | None = None, **_request: Any) -> call_result.StopTransaction:
        return call_result.StopTransaction(self.id_tag_info(id_tag) if id_tag else None)

    @on(Action.data_transfer)
    def on_data_transfer(self, **_request: Any) -> call_result.DataTransfer:
        return call_result.DataTransfer("UnknownVendorId")


def request_for(words: list[str]) -> Any | None:
    """The call a line asks for."""
    match words:
        case ["remote_start", id_tag]:
            return call.RemoteStartTransaction(id_tag)
        case ["remote_start", id_tag, connector]:
            return call.RemoteStartTransaction(id_tag, int(connector))
        case ["remote_stop", transaction_id]:
            return call.RemoteStopTransaction(int(transaction_id))
        case ["get_configuration", *keys]:
            return call.GetConfiguration(keys or None)
        case ["change_configuration", key, value]:
            return call.ChangeConfiguration(key, value)
        case ["reset", kind]:
            return call.Reset(kind)
        case ["trigger", message]:
            return call.TriggerMessage(message)
        case ["trigger", message, connector]:
            return call.TriggerMessage(message, int(connector))
    return None


def now() -> str:
    """The time as OCPP writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


async def main() -> None:
    """Serves until the test closes stdin."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--interval", type=int, default=300, help="heartbeat interval, s")
    parser.add_argument(
        "--invalid", action="append", default=[], metavar="ID_TAG", help="id tag to refuse; may be repeated"
    )
    settings = parser.parse_args()

    transaction_ids = itertools.count(1)
    newest: CentralSystem | None = None

    async def accept(socket: ServerConnection) -> None:
        nonlocal newest
        charge_point_id = unquote(socket.request.path.rsplit("/", 1)[-1])
        newest = CentralSystem(charge_point_id, socket, settings, transaction_ids)
        emit({"connected": charge_point_id})
        try:
            await newest.start()
        except ConnectionClosed:
            emit({"disconnected": charge_point_id})

    listener = serve(accept, "127.0.0.1", settings.port, subprotocols=["ocpp1.6"])
    async with listener as server, asyncio.TaskGroup() as calls:
        emit({"port": next(iter(server.sockets)).getsockname()[1]})
        async for words in commands():
            if newest is None:
                emit({"error": "no charge point is connected", "line": " ".join(words)})
            elif words == ["drop"]:
                newest.socket.transport.abort()
            elif request := request_in(words, request_for):
                calls.create_task(call_and_print(newest, request))


if __name__ == "__main__":
    asyncio.run(main())
