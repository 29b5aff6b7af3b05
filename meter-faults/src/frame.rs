//! Frames as the proxy sees them. It knows the peer's answers to be right, so it only has to find their
//! ends; it shares no code with the driver it tests.

use meter_drivers::Framing;

/// A request or an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) framing: Framing,
    pub(crate) bytes: Vec<u8>,
}

impl Frame {
    /// The first request in what the driver sent.
    pub(crate) fn take_request(framing: Framing, buffer: &mut Vec<u8>) -> Option<Self> {
        let length = match framing {
            Framing::Tcp => 12,
            Framing::Rtu => 8,
        };
        Self::take(framing, buffer, length)
    }

    /// The first answer in what the peer sent.
    pub(crate) fn take_answer(framing: Framing, buffer: &mut Vec<u8>) -> Option<Self> {
        let length = match framing {
            Framing::Tcp => 6 + usize::from(*buffer.get(5)?),
            Framing::Rtu if buffer.get(1)? & 0x80 != 0 => 5,
            Framing::Rtu => 5 + usize::from(*buffer.get(2)?),
        };
        Self::take(framing, buffer, length)
    }

    fn take(framing: Framing, buffer: &mut Vec<u8>, length: usize) -> Option<Self> {
        let bytes = (buffer.len() >= length).then(|| buffer.drain(..length).collect())?;
        Some(Self { framing, bytes })
    }

    fn head(&self) -> usize {
        match self.framing {
            Framing::Tcp => 6,
            Framing::Rtu => 0,
        }
    }

    pub(crate) fn unit_id(&self) -> u8 {
        self.bytes[self.head()]
    }

    pub(crate) fn set_unit_id(&mut self, unit_id: u8) {
        let head = self.head();
        self.bytes[head] = unit_id;
        self.seal();
    }

    /// Unit, function and length of an answer: all that RTU can tell it by.
    pub(crate) fn looks(&self) -> (u8, u8, usize) {
        let head = self.head();
        (self.bytes[head], self.bytes[head + 1], self.bytes.len())
    }

    /// What the answer to this request looks like.
    pub(crate) fn answer_looks(&self) -> (u8, u8, usize) {
        let head = self.head();
        let registers = usize::from(self.bytes[head + 5]);
        let around = match self.framing {
            Framing::Tcp => 9,
            Framing::Rtu => 5,
        };
        (
            self.bytes[head],
            self.bytes[head + 1],
            around + 2 * registers,
        )
    }

    /// Transaction id; RTU has none.
    pub(crate) fn transaction(&self) -> Option<[u8; 2]> {
        (self.framing == Framing::Tcp).then(|| [self.bytes[0], self.bytes[1]])
    }

    pub(crate) fn set_transaction(&mut self, transaction: [u8; 2]) {
        self.bytes[..2].copy_from_slice(&transaction);
    }

    /// The same answer with one register less; `None` if it has none.
    pub(crate) fn shortened(&self) -> Option<Self> {
        let head = self.head();
        let byte_count = self.bytes[head + 2].checked_sub(2)?;
        let mut shorter = self.clone();
        shorter.bytes[head + 2] = byte_count;
        match self.framing {
            Framing::Tcp => shorter.bytes[5] -= 2,
            // The checksum, which is made anew.
            Framing::Rtu => (),
        }
        shorter.bytes.truncate(self.bytes.len() - 2);
        shorter.seal();
        Some(shorter)
    }

    /// Bytes in which a changed bit is noticed.
    pub(crate) fn guarded(&self) -> usize {
        match self.framing {
            Framing::Tcp => 9.min(self.bytes.len()),
            Framing::Rtu => self.bytes.len(),
        }
    }

    fn seal(&mut self) {
        if self.framing == Framing::Rtu {
            let end = self.bytes.len() - 2;
            let checksum = checksum(&self.bytes[..end]);
            self.bytes[end..].copy_from_slice(&checksum);
        }
    }
}

/// Bit by bit, as the standard describes it.
///
/// # Source
/// MODBUS over Serial Line V1.02, section 6.2.2.
fn checksum(bytes: &[u8]) -> [u8; 2] {
    let mut register = u16::MAX;
    for &byte in bytes {
        register ^= u16::from(byte);
        for _ in 0..8 {
            let is_set = register & 1 == 1;
            register >>= 1;
            if is_set {
                register ^= 0xA001;
            }
        }
    }
    register.to_le_bytes()
}
