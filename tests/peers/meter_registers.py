"""Meters of many models on Modbus TCP, served by pymodbus: the registers of each file in a folder.

Prints {"port": N, "meter": ID} for each when all listen. Unit ids other than a meter's own are
silent, and addresses that are in no file do not exist.
"""

import argparse
import asyncio
import json
from pathlib import Path

from lines import emit
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice


def block(table: dict[str, list[str]]) -> list[SimData]:
    """Runs of consecutive registers; everything between them is invalid."""
    words: dict[int, int] = {}
    for start, values in table.items():
        words |= {int(start, 16) + n: int(value, 16) for n, value in enumerate(values)}
    runs: list[SimData] = []
    run: list[int] = []
    for address in sorted(words):
        run.append(words[address])
        if address + 1 not in words:
            start = address + 1 - len(run)
            runs.append(SimData(start, values=run, datatype=DataType.REGISTERS, readonly=True))
            run = []
    return runs or [SimData(0)]


def device(content: dict) -> SimDevice:
    """A device for every unit id: the packet filter silences the others."""
    inside = {int(at, 16): int(word, 16) for at, word in content.get("in_block", {}).items()}
    alone = {
        int(at, 16): int(words[0], 16)
        for table in content["registers"].values()
        for at, words in table.items()
        if int(at, 16) in inside
    }

    async def one_or_many(
        _code: int, start: int, address: int, count: int, words: list[int], _values: list | None
    ) -> None:
        """Some addresses say something else inside a longer read than read alone."""
        for special, word in inside.items():
            if address <= special < address + count:
                words[special - start] = alone[special] if count == 1 else word

    bits = [SimData(0, values=[False] * 16, datatype=DataType.BITS, readonly=True)]
    spaces = [block(content["registers"].get(space, {})) for space in ("holding", "input")]
    return SimDevice(0, simdata=(bits, list(bits), *spaces), action=one_or_many)


async def serve(content: dict) -> int:
    """Serves a meter on a free port, and gives the port."""
    unit = content["unit_id"]

    def only_own(sending: bool, packet: bytes) -> bytes:
        """Drops answers of other units: byte 6 of a TCP frame is the unit id."""
        return b"" if sending and packet[6] != unit else packet

    server = ModbusTcpServer(device(content), address=("127.0.0.1", 0), trace_packet=only_own)
    await server.serve_forever(background=True)
    return server.transport.sockets[0].getsockname()[1]


async def run(folder: Path) -> None:
    for file in sorted(folder.glob("*.json")):
        content = json.loads(file.read_text())
        if any(content["registers"].values()):
            emit({"port": await serve(content), "meter": content["id"]})
    emit({"all": True})
    await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    asyncio.run(run(parser.parse_args().folder))
