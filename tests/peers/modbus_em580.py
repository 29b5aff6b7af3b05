"""A Carlo Gavazzi EM580 on Modbus TCP, served by pymodbus, whose records pyocmf makes.

Prints {"port": N} when it listens. Lines on stdin, each answered by a JSON line:

    energy_wh N       the import register, Wh
    corrupt N         1 makes the next record corrupted
    show 0            {"show": {"state", "utc", "offset_min"}}

The key is that of the secret number that it is started with. Register facts: EVerest, module
CarloGavazzi_EM580.
"""

import argparse
import asyncio
import json
from datetime import UTC, datetime, timedelta, timezone

from lines import emit, on_each_line
from ocmf_python import sign
from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

START, WORDS = 0x6900, 0x7110 + 2031 - 0x6900
TARIFF_TEXT, COMMAND, STATE, SIZE, FILE = 0x6900, 0x7040, 0x7100, 0x7101, 0x7110
IDENT, IDENT_TYPE, IDENT_DATA, CHARGE_POINT = 0x7000, 0x7006, 0x7007, 0x701C
OFFSET, UTC_TIME = 0x7031, 0x7032
NOT_READY, RUNNING, READY, CORRUPTED = range(4)
TYPES = {2: "UNDEFINED", 10: "ISO14443", 60: "CENTRAL", 70: "LOCAL"}
POLLS_UNTIL_READY = 3


class Meter:
    """Its registers, and the session that is going on."""

    def __init__(self, secret: str, energy_wh: int) -> None:
        self.secret = secret
        self.energy_wh = energy_wh
        self.corrupt = 0
        self.words = [0] * WORDS
        self.page = 0
        self.begun: dict | None = None
        self.polls = 0

    def __getitem__(self, address: int) -> int:
        return self.words[address - START]

    def __setitem__(self, address: int, word: int) -> None:
        self.words[address - START] = word

    def text(self, address: int, count: int) -> str:
        words = self.words[address - START : address - START + count]
        written = b"".join(word.to_bytes(2, "big") for word in words)
        return written.split(b"\0")[0].decode()

    def utc(self) -> int:
        return sum(self[UTC_TIME + place] << 16 * place for place in range(4))

    def offset_min(self) -> int:
        offset = self[OFFSET]
        return offset - 0x10000 if offset & 0x8000 else offset

    def reading(self, reason: str) -> dict:
        zone = timezone(timedelta(minutes=self.offset_min()))
        now = datetime.fromtimestamp(self.utc(), UTC).astimezone(zone)
        return {
            "TM": now.strftime("%Y-%m-%dT%H:%M:%S,000%z S"),
            "TX": reason,
            "RV": self.energy_wh / 1000,
            "RI": "1-0:1.8.0",
            "RU": "kWh",
            "RT": "AC",
            "EF": "",
            "ST": "G",
        }

    def command(self, letter: str) -> None:
        if letter == "B" and self[STATE] == NOT_READY:
            self.begun = self.reading("B")
            self[STATE] = RUNNING
        elif letter == "E" and self[STATE] == RUNNING:
            self.polls = POLLS_UNTIL_READY

    def finish(self) -> None:
        """The record is signed."""
        self.page += 1
        payload = {
            "FV": "1.0", "GI": "EM580", "GS": "KA123", "GV": "1.0", "PG": f"T{self.page}",
            "MV": "Carlo Gavazzi", "MM": "EM580", "MS": "KA123", "MF": "1.0",
            "IS": bool(self[IDENT]), "IL": "NONE", "IF": [], "IT": TYPES[self[IDENT_TYPE]],
            "ID": self.text(IDENT_DATA, 20), "CT": "EVSEID", "CI": self.text(CHARGE_POINT, 20),
            "TT": self.text(TARIFF_TEXT, 126), "RD": [self.begun, self.reading("E")],
        }
        signed = sign("ECDSA-secp256r1-SHA256", payload, self.secret)["signed"]
        record = signed["text"].encode()
        record += b"\0" * (len(record) % 2)
        for place in range(len(record) // 2):
            self[FILE + place] = int.from_bytes(record[2 * place : 2 * place + 2], "big")
        self[SIZE] = len(record) // 2
        self[STATE] = CORRUPTED if self.corrupt else READY

    def write(self, address: int, values: list[int]) -> None:
        for place, value in enumerate(values):
            self[address + place] = value
        if address == COMMAND:
            self.command(chr(values[0]))

    async def serve(
        self,
        _function_code: int,
        start_address: int,
        address: int,
        count: int,
        registers: list[int],
        set_values: list | None,
    ) -> ExcCodes | None:
        """Called by pymodbus before it answers a request, and with the values that it would store."""
        if set_values is not None:
            self.write(address, set_values)
        elif address == STATE and self.polls:
            self.polls -= 1
            if not self.polls:
                self.finish()
        for place in range(count):
            registers[address + place - start_address] = self[address + place]
        return None


def device(meter: Meter) -> SimDevice:
    """What is written and what is read are the same registers."""
    unused = [SimData(0, values=[False] * 16, datatype=DataType.BITS)]
    blocks = [[SimData(START, values=[0] * WORDS, datatype=DataType.REGISTERS)] for _ in range(2)]
    return SimDevice(1, (unused, unused, *blocks), action=meter.serve)


async def main() -> None:
    """Serves until the test closes stdin."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("secret", help="the private key as a number in hex")
    parser.add_argument("--energy-wh", type=int, default=0)
    arguments = parser.parse_args()

    meter = Meter(arguments.secret, arguments.energy_wh)
    server = ModbusTcpServer(device(meter), address=("127.0.0.1", 0))
    await server.serve_forever(background=True)
    emit({"port": server.transport.sockets[0].getsockname()[1]})

    def obey(words: list[str]) -> None:
        match words:
            case ["show", "0"]:
                shown = {"state": meter[STATE], "utc": meter.utc(), "offset_min": meter.offset_min()}
                emit({"show": shown})
            case [("energy_wh" | "corrupt") as name, value] if value.isdigit():
                setattr(meter, name, int(value))
                emit({name: int(value)})
            case _:
                emit({"error": "unknown command", "line": json.dumps(words)})

    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    on_each_line(obey, lambda: loop.call_soon_threadsafe(stopped.set))
    await stopped.wait()
    await server.shutdown()


if __name__ == "__main__":
    asyncio.run(main())
