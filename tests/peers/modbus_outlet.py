"""A switched outlet in one Modbus device, served by pymodbus: an SDM630 that counts what flows through
its relay. TCP, RTU on a serial port, or RTU over TCP.

Coil 3 is the relay, as is holding register 0x100 (0x55 closes it, 0xAA opens it). Holding register
0x101 is a current limit in steps of 0.1 A, 0x102 with 0x103 the same in mA. Register 0x104 is a
watchdog in seconds, 0 for none: it opens the relay when nothing was written for so long.

Prints {"port": N} when it listens, or {"device": PATH} when the port is open. Lines on stdin, each
answered by a JSON line that repeats it:

    power_w N         what the car draws while the relay is closed, W
    delay_ms N        answer each request that much later
    ignore_writes N   1 answers writes and does nothing
    relay N           1 closes the relay by hand, 0 opens it
    show 0            {"show": {"relay", "energy_wh", "limit", "limit_ma", "watchdog_s", "journal"}};
                      the journal has [relay, energy_wh] for each time that the relay moved
"""

import argparse
import asyncio
import time
from dataclasses import dataclass, field

from lines import emit, on_each_line
from modbus_meter import SERIAL_ADDRESS, Meter
from pymodbus import FramerType
from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusSerialServer, ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

COIL = 3
RELAY, LIMIT, LIMIT_MA, WATCHDOG = 0x100, 0x101, 0x102, 0x104
CLOSED, OPEN = 0x55, 0xAA
READ_COILS, READ_HOLDING_REGISTERS, WRITE_COIL = 1, 3, 5
SETTINGS = ("power_w", "delay_ms", "ignore_writes", "relay")


@dataclass
class Outlet(Meter):
    """The relay's position, and the register behind it."""

    relay: int = 0
    ignore_writes: int = 0
    energy_wms: int = 0
    words: dict[int, int] = field(default_factory=lambda: dict.fromkeys((0x101, 0x102, 0x103, 0x104), 0))
    journal: list[tuple[int, int]] = field(default_factory=list)
    looked_at: float = field(default_factory=time.monotonic)
    written_at: float = field(default_factory=time.monotonic)

    def pass_time(self) -> None:
        """Counts what flowed since the last look; the watchdog may have opened the relay in between."""
        now = time.monotonic()
        watchdog_s = self.words[WATCHDOG]
        until = min(now, self.written_at + watchdog_s) if watchdog_s else now
        if self.relay:
            elapsed_ms = max(0, round((until - self.looked_at) * 1000))
            self.energy_wms += self.power_w * elapsed_ms
            self.energy_wh += self.energy_wms // 3_600_000
            self.energy_wms %= 3_600_000
        self.looked_at = now
        if until < now:
            self.move(0)

    def move(self, relay: int) -> None:
        """Opens or closes it."""
        if relay != self.relay:
            self.relay = relay
            self.journal.append((relay, self.energy_wh))

    def write(self, function_code: int, address: int, values: list) -> None:
        """Does what a write asks for."""
        self.written_at = time.monotonic()
        if function_code == WRITE_COIL:
            self.move(int(values[0]))
            return
        for offset, value in enumerate(values):
            if address + offset == RELAY:
                self.move({CLOSED: 1, OPEN: 0}.get(value, self.relay))
            else:
                self.words[address + offset] = value

    async def serve(
        self,
        function_code: int,
        start_address: int,
        address: int,
        count: int,
        registers: list[int],
        set_values: list | None,
    ) -> ExcCodes | None:
        """Called by pymodbus before it answers a request, and with the values that it would store."""
        self.pass_time()
        if set_values is not None and not self.ignore_writes:
            self.write(function_code, address, set_values)
        if function_code == READ_COILS:
            # pymodbus keeps 16 coils in a register, the first in its lowest bit.
            registers[COIL // 16 - start_address] = self.relay << COIL % 16
        elif function_code == READ_HOLDING_REGISTERS:
            registers[RELAY - start_address] = CLOSED if self.relay else OPEN
            for place, word in self.words.items():
                registers[place - start_address] = word
        return await super().serve(function_code, start_address, address, count, registers, set_values)

    def show(self) -> dict:
        """All of it."""
        self.pass_time()
        return {
            "relay": self.relay,
            "energy_wh": self.energy_wh,
            "limit": self.words[LIMIT],
            "limit_ma": self.words[LIMIT_MA] << 16 | self.words[LIMIT_MA + 1],
            "watchdog_s": self.words[WATCHDOG],
            "journal": self.journal,
        }

    def device(self, unit_id: int) -> SimDevice:
        """Coils, and the registers of an SDM630 with those of the relay between them."""
        coils = [SimData(0, values=[False] * 16, datatype=DataType.BITS)]
        unused = [SimData(0, values=[False] * 16, datatype=DataType.BITS)]
        holding = [
            SimData(0x1E, values=[0.0], datatype=DataType.FLOAT32),
            SimData(0x28, values=[2141.0], datatype=DataType.FLOAT32),
            SimData(RELAY, values=[0] * 5, datatype=DataType.REGISTERS),
            SimData(SERIAL_ADDRESS, values=[20_630_001], datatype=DataType.UINT32),
        ]
        readings = [SimData(0, count=0x166, values=0, datatype=DataType.REGISTERS)]
        return SimDevice(unit_id, (coils, unused, holding, readings), action=self.serve)


async def main() -> None:
    """Serves until the test closes stdin."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("transport", choices=("tcp", "rtu", "rtu-over-tcp"))
    parser.add_argument("--device", help="the serial port, for rtu")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--unit-id", type=int, default=1)
    parser.add_argument("--energy-wh", type=int, default=0)
    parser.add_argument("--relay", type=int, default=0, help="1 if it is closed to begin with")
    arguments = parser.parse_args()

    outlet = Outlet(energy_wh=arguments.energy_wh, relay=arguments.relay)
    unit = outlet.device(arguments.unit_id)
    if arguments.transport == "rtu":
        server = ModbusSerialServer(unit, port=arguments.device, baudrate=9600)
    else:
        framer = FramerType.SOCKET if arguments.transport == "tcp" else FramerType.RTU
        server = ModbusTcpServer(unit, framer=framer, address=("127.0.0.1", arguments.port))
    await server.serve_forever(background=True)
    if arguments.transport == "rtu":
        emit({"device": arguments.device})
    else:
        emit({"port": server.transport.sockets[0].getsockname()[1]})

    def obey(words: list[str]) -> None:
        outlet.pass_time()
        match words:
            case ["show", "0"]:
                emit({"show": outlet.show()})
            case ["relay", value] if value.isdigit():
                outlet.move(int(value))
                emit({"relay": int(value)})
            case [name, value] if name in SETTINGS and value.isdigit():
                setattr(outlet, name, int(value))
                emit({name: int(value)})
            case _:
                emit({"error": "unknown command", "line": " ".join(words)})

    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    # On the loop: what is counted is looked at by one at a time.
    on_each_line(
        lambda words: loop.call_soon_threadsafe(obey, words),
        lambda: loop.call_soon_threadsafe(stopped.set),
    )
    await stopped.wait()
    await server.shutdown()


if __name__ == "__main__":
    asyncio.run(main())
