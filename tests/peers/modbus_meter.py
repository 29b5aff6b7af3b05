"""An Eastron SDM630 on Modbus TCP, served by pymodbus.

Prints {"port": N} when it listens. Lines on stdin, each answered by a JSON line that repeats it:

    energy_wh N       the import register, Wh
    export_wh N       the export register, Wh
    power_w N         the power the car draws, W
    delay_ms N        answer each request that much later

Register facts: Eastron SDM630-Modbus V2 protocol document, version 2.0; the serial number at
0xFC00 as read from devices in the field.
"""

import argparse
import asyncio
import struct
import time
from dataclasses import dataclass

from lines import emit, on_each_line
from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

VOLTAGE_V = 230.0
INPUT_REGISTERS = 0x0166
SERIAL_ADDRESS = 0xFC00
READ_INPUT_REGISTERS = 4
SETTINGS = ("energy_wh", "export_wh", "power_w", "delay_ms")


@dataclass
class Meter:
    """What the test set, read anew for each request."""

    energy_wh: int
    export_wh: int = 0
    power_w: int = 0
    delay_ms: int = 0

    def input_values(self) -> dict[int, float]:
        """Register address to value: three phases that share the load evenly."""
        phase_w = self.power_w / 3
        phase_a = phase_w / VOLTAGE_V
        values: dict[int, float] = {}
        for phase in range(3):
            values[0x00 + 2 * phase] = VOLTAGE_V
            values[0x06 + 2 * phase] = phase_a
            values[0x0C + 2 * phase] = phase_w  # W
            values[0x12 + 2 * phase] = phase_w  # VA: the power factor is 1
            values[0x1E + 2 * phase] = 1.0
            values[0x15A + 2 * phase] = self.energy_wh / 3000
            values[0x160 + 2 * phase] = self.export_wh / 3000
        values[0x34] = float(self.power_w)
        values[0x38] = float(self.power_w)
        values[0x3E] = 1.0
        values[0x46] = 50.0
        values[0x48] = self.energy_wh / 1000  # kWh
        values[0x4A] = self.export_wh / 1000
        values[0x156] = (self.energy_wh + self.export_wh) / 1000
        return values

    async def serve(
        self,
        function_code: int,
        start_address: int,
        _address: int,
        _count: int,
        registers: list[int],
        _set_values: list[int] | list[bool] | None,
    ) -> ExcCodes | None:
        """Called by pymodbus before it answers a request."""
        # Blocks the loop on purpose: after an `await` pymodbus would answer under the transaction
        # id of the newest request, and a late answer must keep its own.
        time.sleep(self.delay_ms / 1000)
        if function_code == READ_INPUT_REGISTERS:
            for address, value in self.input_values().items():
                offset = address - start_address
                registers[offset : offset + 2] = float_registers(value)
        return None


def float_registers(value: float) -> tuple[int, int]:
    """An IEEE 754 single as two registers, most significant word first."""
    high, low = struct.unpack(">HH", struct.pack(">f", value))
    return high, low


def device(meter: Meter, unit_id: int, serial: int) -> SimDevice:
    """The register blocks: no coils to speak of, configuration as holding registers, readings."""
    unused = [SimData(0, values=[False] * 16, datatype=DataType.BITS)]
    holding = [
        SimData(0x1E, values=[0.0], datatype=DataType.FLOAT32),  # energy in kWh, not MWh
        SimData(0x28, values=[2141.0], datatype=DataType.FLOAT32),  # word order: high word first
        SimData(SERIAL_ADDRESS, values=[serial], datatype=DataType.UINT32),
    ]
    readings = [SimData(0, count=INPUT_REGISTERS, values=0, datatype=DataType.REGISTERS)]
    return SimDevice(unit_id, (unused, unused, holding, readings), action=meter.serve)


async def main() -> None:
    """Serves until the test closes stdin."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--unit-id", type=int, default=1)
    parser.add_argument("--serial", type=int, default=20_630_001)
    parser.add_argument("--energy-wh", type=int, default=0)
    arguments = parser.parse_args()

    meter = Meter(energy_wh=arguments.energy_wh)
    unit = device(meter, arguments.unit_id, arguments.serial)
    server = ModbusTcpServer(unit, address=("127.0.0.1", arguments.port))
    await server.serve_forever(background=True)
    emit({"port": server.transport.sockets[0].getsockname()[1]})

    def obey(words: list[str]) -> None:
        match words:
            case [name, value] if name in SETTINGS and value.isdigit():
                setattr(meter, name, int(value))
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
