"""Meters of several models on one line, served by pymodbus, and what can go wrong with the line.

Prints {"port": N} when it listens, or {"device": PATH} when the port is open, and ends with its stdin.
Units that are not named are silent. What pymodbus answers is spoilt on its way out where it is asked
for: two units with one id answer one after the other, a line at another baud rate carries other bytes.
"""

import argparse
import asyncio
import json
from pathlib import Path

from lines import emit, on_each_line
from meter_registers import block
from pymodbus import FramerType
from pymodbus.server import ModbusSerialServer, ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

# What a receiver at half the rate makes of most bytes: frames' bits run into each other.
NOISE = bytes([0x00, 0xE6, 0x78, 0x80, 0x1E, 0x66, 0x98, 0x00])


def device(unit: int, content: dict) -> SimDevice:
    """A meter of a file in `tests/meters`, under another unit id."""
    bits = [SimData(0, values=[False] * 16, datatype=DataType.BITS, readonly=True)]
    spaces = [block(content["registers"].get(space, {})) for space in ("holding", "input")]
    return SimDevice(unit, simdata=(bits, list(bits), *spaces))


async def main() -> None:
    """Serves until the test closes stdin."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("transport", choices=("tcp", "rtu"))
    parser.add_argument("meters", nargs="+", help="UNIT=FILE")
    parser.add_argument("--device", help="the serial port, for rtu")
    parser.add_argument("--twice", type=int, help="this unit id is that of two meters")
    parser.add_argument("--noise", action="store_true", help="nothing arrives as it was sent")
    arguments = parser.parse_args()

    units = {}
    for meter in arguments.meters:
        unit, file = meter.split("=", 1)
        units[int(unit)] = device(int(unit), json.loads(Path(file).read_text()))
    unit_at = 6 if arguments.transport == "tcp" else 0

    def spoil(sending: bool, packet: bytes) -> bytes:
        if not sending:
            return packet
        if packet[unit_at] not in units:
            return b""
        if arguments.noise:
            return NOISE
        return packet * 2 if packet[unit_at] == arguments.twice else packet

    if arguments.transport == "rtu":
        server = ModbusSerialServer(
            list(units.values()), port=arguments.device, baudrate=9600, trace_packet=spoil
        )
    else:
        server = ModbusTcpServer(
            list(units.values()),
            framer=FramerType.SOCKET,
            address=("127.0.0.1", 0),
            trace_packet=spoil,
        )
    await server.serve_forever(background=True)
    if arguments.transport == "rtu":
        emit({"device": arguments.device})
    else:
        emit({"port": server.transport.sockets[0].getsockname()[1]})

    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    on_each_line(lambda _words: None, lambda: loop.call_soon_threadsafe(stopped.set))
    await stopped.wait()
    await server.shutdown()


if __name__ == "__main__":
    asyncio.run(main())
