//! Answers of a Modbus TCP meter, and of a relay, over loopback.
//!
//! An input is a list of answers, each a byte for its length and then a frame, the first two bytes of
//! which are XORed with the request's transaction id. After the last one the meter closes the
//! connection.

use std::io;
use std::sync::LazyLock;
use std::time::Duration;

use meter_drivers::{
    Actuator, ActuatorConfig, ActuatorError, Bus, Endpoint, Meter, MeterConfig, MeterError,
    Reading, RegisterMap, Target,
};
use protocol::UnixMillis;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::time::timeout;

use super::{Corpus, numbered, runtime};

/// A request for registers, or one that switches a coil: seven bytes before the PDU, five of it.
const REQUEST_BYTES: usize = 12;

/// Longer waits tell nothing: an input that is good is answered at once, and others are no success.
const SWITCH_TIMEOUT: Duration = Duration::from_millis(50);

pub(super) fn check(bytes: &[u8]) {
    static RUNTIME: LazyLock<Runtime> = LazyLock::new(runtime);
    let clock = UnixMillis(1_800_000_000_000);
    if let Ok(reading) = RUNTIME.block_on(read_once(bytes, clock)) {
        // Four good answers: two probes, the serial number, energy with power.
        assert!(bytes.len() >= 4 * (7 + 3), "a reading out of {bytes:?}");
        assert_eq!(reading.taken_at, clock);
    }
    let switched = RUNTIME.block_on(async { timeout(SWITCH_TIMEOUT, switch_once(bytes)).await });
    if matches!(switched, Ok(Ok(()))) {
        // Two good answers: to the write, and to the read behind it.
        assert!(bytes.len() >= 2 * 7 + 5 + 3, "switched by {bytes:?}");
    }
}

async fn switch_once(answers: &[u8]) -> Result<(), ActuatorError> {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let bus = Bus::start(Endpoint::Tcp {
        address: listener.local_addr().expect("it is bound").to_string(),
    });
    let config = ActuatorConfig {
        name: "relay".to_owned(),
        unit_id: 1,
        timeout: Duration::from_millis(200),
        pause: Duration::ZERO,
        target: Target::Coil { address: 3 },
    };
    let mut relay = Actuator::new(config, &bus).expect("no broadcast");
    tokio::select! {
        switched = relay.set(1) => switched,
        never = serve(listener, answers) => never,
    }
}

async fn read_once(answers: &[u8], clock: UnixMillis) -> Result<Reading, MeterError> {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let bus = Bus::start(Endpoint::Tcp {
        address: listener.local_addr().expect("it is bound").to_string(),
    });
    let mut meter = Meter::new(
        MeterConfig {
            name: "meter".to_owned(),
            unit_id: 1,
            timeout: Duration::from_millis(200),
            pause: Duration::ZERO,
            map: RegisterMap::builtin("eastron-sdm630").expect("built in"),
        },
        &bus,
    );
    let clock = || clock;
    tokio::select! {
        reading = meter.read(&clock) => reading,
        never = serve(listener, answers) => never,
    }
}

/// Answers as long as somebody asks, and never ends: the driver tells how it went.
async fn serve<T>(listener: TcpListener, answers: &[u8]) -> T {
    let (stream, _) = listener.accept().await.expect("the driver connects");
    // Whoever asks may be gone.
    let _ = answer(stream, answers).await;
    std::future::pending().await
}

async fn answer(mut stream: TcpStream, mut answers: &[u8]) -> io::Result<()> {
    let mut request = [0; REQUEST_BYTES];
    while let Some((frame, rest)) = split(answers) {
        stream.read_exact(&mut request).await?;
        let mut frame = frame.to_vec();
        for (byte, asked) in frame.iter_mut().zip(&request[..2]) {
            *byte ^= asked;
        }
        stream.write_all(&frame).await?;
        answers = rest;
    }
    Ok(())
}

fn split(answers: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = answers.split_first()?;
    rest.split_at_checked(usize::from(*length))
}

pub(super) fn corpus() -> Corpus {
    // Transaction, protocol, length and unit id before the PDU.
    let frame = |pdu: &[u8]| {
        let length = u8::try_from(pdu.len()).expect("few");
        [&[length + 7, 0, 0, 0, 0, 0, length + 1, 1], pdu].concat()
    };
    let answer = |function: u8, registers: &[u32]| {
        let words: Vec<u8> = registers.iter().flat_map(|r| r.to_be_bytes()).collect();
        let count = u8::try_from(words.len()).expect("few");
        frame(&[&[function, count], words.as_slice()].concat())
    };
    let float = |value: f32| value.to_bits();
    let identity = [
        answer(3, &[float(0.0)]),
        answer(3, &[float(2141.0)]),
        answer(3, &[21_070_042]),
    ]
    .concat();
    let energy_and_power = {
        let mut registers = [0; 11];
        (registers[0], registers[10]) = (float(7_360.0), float(1_234.5));
        answer(4, &registers)
    };
    let refusal = frame(&[0x84, 2]);
    let mut foreign = energy_and_power.clone();
    // Of another transaction.
    foreign[2] ^= 1;
    numbered([
        [identity.as_slice(), &energy_and_power].concat(),
        [identity.as_slice(), &refusal].concat(),
        [identity.as_slice(), &foreign].concat(),
        [frame(&[5, 0, 3, 0xFF, 0]), frame(&[1, 1, 1])].concat(),
        [frame(&[5, 0, 3, 0, 0]), frame(&[1, 1, 1])].concat(),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_answers_are_a_reading_and_others_are_none() {
        let read = |input: &str| {
            let clock = UnixMillis(7);
            runtime().block_on(read_once(&corpus()[input], clock))
        };
        let reading = read("00").expect("a reading");
        assert_eq!(reading.taken_at, UnixMillis(7));
        assert!(matches!(
            read("01"),
            Err(MeterError::WrongRegisterMap { .. })
        ));
        assert!(matches!(read("02"), Err(MeterError::ForeignReply { .. })));
    }

    #[test]
    fn a_relay_is_switched_by_its_own_answers_alone() {
        let switch = |input: &str| runtime().block_on(switch_once(&corpus()[input]));
        switch("03").expect("it is on");
        let foreign = switch("04").expect_err("the answer is to another write");
        assert!(matches!(foreign, ActuatorError::NoAnswer { .. }));
    }
}
