"""Several Eastron SDM630 on one line, served by pymodbus: TCP, RTU on a serial port, RTU over TCP.

Prints {"port": N} when it listens, or {"device": PATH} when the port is open. Lines on stdin, each
answered by a JSON line that repeats it:

    UNIT energy_wh N      the import register, Wh
    UNIT power_w N        the power the car draws, W
    UNIT delay_ms N       answer each request that much later
"""

import argparse
import asyncio

from lines import emit, on_each_line
from modbus_meter import SETTINGS, Meter, device
from pymodbus import FramerType
from pymodbus.server import ModbusSerialServer, ModbusTcpServer

FIRST_SERIAL = 20_630_000


async def main() -> None:
    """Serves until the test closes stdin."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("transport", choices=("tcp", "rtu", "rtu-over-tcp"))
    parser.add_argument("--device", help="the serial port, for rtu")
    parser.add_argument("--baud", type=int, default=9600)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--units", default="1", help="unit ids, with commas")
    arguments = parser.parse_args()

    meters = {int(unit): Meter(energy_wh=1000 * int(unit)) for unit in arguments.units.split(",")}
    units = [device(meter, unit, FIRST_SERIAL + unit) for unit, meter in meters.items()]
    unit_at = 6 if arguments.transport == "tcp" else 0

    def silent_where_absent(sending: bool, packet: bytes) -> bytes:
        """pymodbus 3.16 answers for units that it has not (exception 4); on a line nobody would."""
        return b"" if sending and packet[unit_at] not in meters else packet

    if arguments.transport == "rtu":
        server = ModbusSerialServer(
            units,
            port=arguments.device,
            baudrate=arguments.baud,
            trace_packet=silent_where_absent,
        )
    else:
        framer = FramerType.SOCKET if arguments.transport == "tcp" else FramerType.RTU
        server = ModbusTcpServer(
            units,
            framer=framer,
            address=("127.0.0.1", arguments.port),
            trace_packet=silent_where_absent,
        )
    await server.serve_forever(background=True)
    if arguments.transport == "rtu":
        emit({"device": arguments.device})
    else:
        emit({"port": server.transport.sockets[0].getsockname()[1]})

    def obey(words: list[str]) -> None:
        match words:
            case [unit, name, value] if unit.isdigit() and int(unit) in meters and name in SETTINGS:
                setattr(meters[int(unit)], name, int(value))
                emit({name: int(value)})
            case _:
                emit({"error": "unknown command", "line": " ".join(words)})

    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    on_each_line(obey, lambda: loop.call_soon_threadsafe(stopped.set))
    await stopped.wait()
    await server.shutdown()


if __name__ == "__main__":
    asyncio.run(main())
