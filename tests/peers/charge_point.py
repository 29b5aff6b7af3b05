"""A charge point on the Python `ocpp` package, OCPP 1.6J, schema validation on.

Prints {"connected": ID} once the link is up, then one line per answer:

    {"answer_to": A, "payload": P}         the answer
    {"answer_to": A, "error": CODE, ...}   a CALLERROR, an invalid answer or nothing came instead

and {"disconnected": ID} if the central system closed the link. Lines on stdin:

    boot                                            heartbeat
    authorize TAG                                   status CONNECTOR STATUS
    start CONNECTOR TAG METER_START_WH [TIMESTAMP]  data_transfer VENDOR
    meter TRANSACTION CONNECTOR WH [POWER_W]        quit
    stop TRANSACTION METER_STOP_WH [TAG] [TIMESTAMP]
    signed TRANSACTION CONNECTOR CONTEXT VALUE      stop_signed TRANSACTION METER_STOP_WH TAG CONTEXT VALUE

VALUE is signed data in hex, and sent as the text that the hex stands for.
"""

import argparse
import asyncio
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from lines import commands, emit
from ocpp.v16 import ChargePoint, call
from ocpp_calls import call_and_print, request_in
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed


def request_for(words: list[str]) -> Any | None:
    """The call a line asks for."""
    match words:
        case ["boot"]:
            return call.BootNotification("Test charge point", "Charge Gateway tests")
        case ["heartbeat"]:
            return call.Heartbeat()
        case ["authorize", tag]:
            return call.Authorize(tag)
        case ["status", connector, status]:
            return call.StatusNotification(int(connector), "NoError", status, now())
        case ["data_transfer", vendor]:
            return call.DataTransfer(vendor)
        case ["start", connector, tag, wh, *timestamp] if len(timestamp) < 2:
            return call.StartTransaction(int(connector), tag, int(wh), *(timestamp or [now()]))
        case ["meter", transaction, connector, wh, *power_w] if len(power_w) < 2:
            return call.MeterValues(int(connector), [meter_value(wh, *power_w)], int(transaction))
        case ["signed", transaction, connector, context, value]:
            return call.MeterValues(int(connector), [signed(context, value)], int(transaction))
        case ["stop_signed", transaction, wh, tag, context, value]:
            data = [signed(context, value)]
            return call.StopTransaction(int(wh), now(), int(transaction), id_tag=tag, transaction_data=data)
        case ["stop", transaction, wh]:
            return call.StopTransaction(int(wh), now(), int(transaction))
        case ["stop", transaction, wh, tag, *timestamp] if len(timestamp) < 2:
            return call.StopTransaction(int(wh), *(timestamp or [now()]), int(transaction), id_tag=tag)
    return None


def meter_value(wh: str, power_w: str | None = None) -> dict[str, Any]:
    """One sample of the import register and, if given, of the power."""
    samples = [sample("Energy.Active.Import.Register", wh, "Wh")]
    if power_w is not None:
        samples.append(sample("Power.Active.Import", power_w, "W"))
    return {"timestamp": now(), "sampled_value": samples}


def sample(measurand: str, value: str, unit: str) -> dict[str, str]:
    """One sampled value, taken at the meter value interval."""
    return {"value": value, "context": "Sample.Periodic", "measurand": measurand, "unit": unit}


def signed(context: str, value: str) -> dict[str, Any]:
    """One signed sample."""
    text = bytes.fromhex(value).decode()
    return {
        "timestamp": now(),
        "sampled_value": [{"value": text, "context": context, "format": "SignedData"}],
    }


def now() -> str:
    """The time as OCPP writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


async def obey(link: ChargePoint) -> None:
    """Sends what the lines on stdin ask for, one after the other, as a charge point does."""
    async for words in commands():
        if words == ["quit"]:
            return
        if request := request_in(words, request_for):
            await call_and_print(link, request)


async def main() -> None:
    """Runs until told to quit, until the test closes stdin or until the link is gone."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url", help="the central system's address without the charge point id")
    parser.add_argument("id", help="the charge point's id")
    arguments = parser.parse_args()

    url = f"{arguments.url.rstrip('/')}/{quote(arguments.id, safe='')}"
    async with connect(url, subprotocols=["ocpp1.6"]) as socket:
        emit({"connected": arguments.id})
        link = ChargePoint(arguments.id, socket)
        tasks = [asyncio.create_task(link.start()), asyncio.create_task(obey(link))]
        done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        try:
            done.pop().result()
        except ConnectionClosed:
            emit({"disconnected": arguments.id})


if __name__ == "__main__":
    asyncio.run(main())
