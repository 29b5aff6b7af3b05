"""Four meters on one line, served by pymodbus, whose registers tell unit, kind and time.

Prints {"port": N} when it listens, and ends with its stdin. Registers are those of the crate
meter-faults, `src/stamp.rs`: four bits of unit, two of kind, 26 of milliseconds since --epoch-ms.
"""

import argparse
import asyncio
import time

from lines import emit, on_each_line
from pymodbus import FramerType
from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

ENERGY, POWER, SERIAL = 1, 2, 3
ENERGY_AT, POWER_AT, SETTING_AT, SERIAL_AT = 0x48, 0x34, 0x1E, 0xFC00
SETTING = 7
READ_INPUT_REGISTERS = 4
UNITS = (1, 2, 3, 4)


def stamp(unit: int, kind: int, at_ms: int) -> int:
    """The bits of a register."""
    return (unit << 2 | kind) << 26 | at_ms % (1 << 26)


def device(unit: int, epoch_ms: int) -> SimDevice:
    """A unit whose input registers are stamped when they are read."""

    async def serve(
        function_code: int,
        start_address: int,
        _address: int,
        _count: int,
        registers: list[int],
        _set_values: list[int] | list[bool] | None,
    ) -> ExcCodes | None:
        at_ms = time.time_ns() // 1_000_000 - epoch_ms
        if function_code == READ_INPUT_REGISTERS:
            for address, kind in ((ENERGY_AT, ENERGY), (POWER_AT, POWER)):
                # All the input registers are here, whatever was asked for.
                offset = address - start_address
                bits = stamp(unit, kind, at_ms)
                registers[offset : offset + 2] = (bits >> 16, bits & 0xFFFF)
        return None

    unused = [SimData(0, values=[False] * 16, datatype=DataType.BITS)]
    holding = [
        SimData(SETTING_AT, values=[SETTING], datatype=DataType.UINT32),
        SimData(SERIAL_AT, values=[stamp(unit, SERIAL, 0)], datatype=DataType.UINT32),
    ]
    readings = [SimData(0, count=0x60, values=0, datatype=DataType.REGISTERS)]
    return SimDevice(unit, (unused, unused, holding, readings), action=serve)


async def main() -> None:
    """Serves until the test closes stdin."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("framing", choices=("tcp", "rtu"))
    parser.add_argument("--epoch-ms", type=int, required=True)
    arguments = parser.parse_args()

    server = ModbusTcpServer(
        [device(unit, arguments.epoch_ms) for unit in UNITS],
        framer=FramerType.SOCKET if arguments.framing == "tcp" else FramerType.RTU,
        address=("127.0.0.1", 0),
    )
    await server.serve_forever(background=True)
    emit({"port": server.transport.sockets[0].getsockname()[1]})

    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    on_each_line(lambda _words: None, lambda: loop.call_soon_threadsafe(stopped.set))
    await stopped.wait()
    await server.shutdown()


if __name__ == "__main__":
    asyncio.run(main())
