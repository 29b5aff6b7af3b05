//! The driver against a Modbus TCP server that does every wrong thing a network, a serial gateway or
//! a second master can make of an answer. None may become a reading, and the next good answer must
//! be read for what it is.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use meter_drivers::{
    Bus, Endpoint, Finding, Meter, MeterConfig, MeterError, NoNumber, Reading, RegisterMap,
};
use protocol::UnixMillis;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const TIMEOUT: Duration = Duration::from_millis(150);
const UNIT: u8 = 9;
const NAN: u32 = 0x7FC0_0000;

/// What the server does to its answer to one reading of the energy register.
#[derive(Clone, Copy, Debug)]
enum Wrong {
    /// Answers after the driver gave up, on the same connection.
    Late,
    /// Answers after the driver gave up, on its next connection, under the transaction id of the first
    /// request there: what a gateway to a serial line makes of a late answer.
    LateElsewhere,
    Unit,
    Transaction,
    Function,
    Length(u16),
    ByteCount,
    Protocol,
    Garbage,
    Exception(u8),
    CutShort,
    /// Sends the good answer twice.
    Twice,
    Energy(u32),
    Power(u32),
}

#[derive(Default)]
struct Script {
    next: Option<Wrong>,
    /// The register in kWh; it rises with every answer, so that an old one shows.
    energy_kwh: u16,
    owed: Option<Vec<u8>>,
}

struct HostileMeter {
    address: SocketAddr,
    script: Arc<Mutex<Script>>,
}

impl HostileMeter {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let script = Arc::<Mutex<Script>>::default();
        let shared = Arc::clone(&script);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // A connection that ends, ends.
                tokio::spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        Self { address, script }
    }

    fn do_next(&self, wrong: Wrong) {
        self.script.lock().expect("no panic").next = Some(wrong);
    }

    fn register_wh(&self) -> u64 {
        u64::from(self.script.lock().expect("no panic").energy_kwh) * 1000
    }
}

async fn serve(mut stream: TcpStream, script: Arc<Mutex<Script>>) -> std::io::Result<()> {
    let mut owed = script.lock().expect("no panic").owed.take();
    loop {
        let mut request = [0; 12];
        stream.read_exact(&mut request).await?;
        if let Some(mut late) = owed.take() {
            late[..2].copy_from_slice(&request[..2]);
            stream.write_all(&late).await?;
        }
        if request[7] == 3 {
            stream.write_all(&holding(&request)).await?;
            continue;
        }
        let (wrong, energy_kwh) = {
            let mut script = script.lock().expect("no panic");
            script.energy_kwh += 1;
            (script.next.take(), script.energy_kwh)
        };
        let energy = f32::from(energy_kwh).to_bits();
        let good = input(&request, energy, 1_500.0_f32.to_bits());
        match wrong {
            None => stream.write_all(&good).await?,
            Some(Wrong::LateElsewhere) => {
                script.lock().expect("no panic").owed = Some(good);
            }
            Some(Wrong::Late) => {
                tokio::time::sleep(TIMEOUT + Duration::from_millis(50)).await;
                stream.write_all(&good).await?;
            }
            Some(Wrong::CutShort) => {
                stream.write_all(&good[..20]).await?;
                return Ok(());
            }
            Some(wrong) => stream.write_all(&spoilt(wrong, good, energy)).await?,
        }
    }
}

fn spoilt(wrong: Wrong, good: Vec<u8>, energy: u32) -> Vec<u8> {
    let mut bytes = good.clone();
    match wrong {
        Wrong::Unit => bytes[6] += 1,
        Wrong::Transaction => bytes[1] ^= 0xFF,
        Wrong::Function => bytes[7] = 3,
        Wrong::Length(count) => return frame(&good, &vec![0x42; usize::from(count) * 2]),
        Wrong::ByteCount => bytes[8] += 2,
        Wrong::Protocol => bytes[3] = 1,
        Wrong::Garbage => return b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
        Wrong::Exception(code) => {
            bytes.truncate(7);
            bytes.extend([0x84, code]);
            bytes[5] = 3;
        }
        Wrong::Twice => bytes.extend(good),
        Wrong::Energy(bits) => return input(&good, bits, 0),
        Wrong::Power(bits) => return input(&good, energy, bits),
        Wrong::Late | Wrong::LateElsewhere | Wrong::CutShort => unreachable!("served above"),
    }
    bytes
}

/// Power at 0x34 and energy at 0x48, which is what the driver asks for in one request.
fn input(request: &[u8], energy: u32, power: u32) -> Vec<u8> {
    let mut data = [0; 44];
    data[..4].copy_from_slice(&power.to_be_bytes());
    data[40..].copy_from_slice(&energy.to_be_bytes());
    frame(request, &data)
}

fn holding(request: &[u8; 12]) -> Vec<u8> {
    let bits = match u16::from_be_bytes([request[8], request[9]]) {
        0x1E => 0,
        0x28 => 2141.0_f32.to_bits(),
        0xFC00 => 21_070_042,
        other => panic!("nobody asks for holding {other:#x}"),
    };
    frame(request, &bits.to_be_bytes())
}

/// An answer with the transaction id, unit id and function code of `request`.
fn frame(request: &[u8], data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len() + 3).expect("a short answer");
    let mut frame = request[..4].to_vec();
    frame.extend(length.to_be_bytes());
    frame.extend(&request[6..8]);
    frame.push(u8::try_from(data.len()).expect("a short answer"));
    frame.extend(data);
    frame
}

fn driver(address: SocketAddr) -> Meter {
    let bus = Bus::start(Endpoint::Tcp {
        address: address.to_string(),
    });
    Meter::new(
        MeterConfig {
            name: "yard".to_owned(),
            unit_id: UNIT,
            timeout: TIMEOUT,
            pause: Duration::ZERO,
            map: RegisterMap::builtin("eastron-sdm630").expect("built in"),
        },
        &bus,
    )
}

async fn read(meter: &mut Meter) -> Result<Reading, MeterError> {
    meter.read(&|| UnixMillis(1)).await
}

/// Reads well, badly with `expected` as the error, and well again at the very next call.
async fn check(wrong: Wrong, expected: fn(&MeterError) -> bool) {
    let peer = HostileMeter::start().await;
    let mut meter = driver(peer.address);
    let reading = read(&mut meter).await.expect("a good answer");
    assert_eq!(reading.register.0, peer.register_wh());

    peer.do_next(wrong);
    let error = read(&mut meter).await.expect_err("a bad answer");
    assert!(expected(&error), "{wrong:?}: {error:?}");

    for _ in 0..2 {
        let reading = read(&mut meter).await.expect("a good answer");
        assert_eq!(reading.register.0, peer.register_wh(), "after {wrong:?}");
    }
}

#[tokio::test]
async fn a_late_answer_is_never_the_next_one() {
    check(Wrong::Late, |e| matches!(e, MeterError::Silent { .. })).await;
}

#[tokio::test]
async fn a_late_answer_on_the_next_connection_is_refused() {
    let peer = HostileMeter::start().await;
    let mut meter = driver(peer.address);
    read(&mut meter).await.expect("a good answer");
    peer.do_next(Wrong::LateElsewhere);
    read(&mut meter).await.expect_err("no answer");
    let late = read(&mut meter).await;
    assert!(
        matches!(late, Err(MeterError::ForeignReply { .. })),
        "{late:?}"
    );
    let reading = read(&mut meter).await.expect("a good answer");
    assert_eq!(reading.register.0, peer.register_wh());
}

#[tokio::test]
async fn an_answer_to_a_cancelled_read_is_never_the_next_one() {
    let peer = HostileMeter::start().await;
    let mut meter = driver(peer.address);
    read(&mut meter).await.expect("a good answer");
    peer.do_next(Wrong::Late);
    let cancelled = tokio::time::timeout(TIMEOUT / 2, read(&mut meter)).await;
    assert!(cancelled.is_err());
    tokio::time::sleep(TIMEOUT * 2).await;
    let reading = read(&mut meter).await.expect("a good answer");
    assert_eq!(reading.register.0, peer.register_wh());
}

#[tokio::test]
async fn an_answer_to_somebody_else_is_refused() {
    let foreign: fn(&MeterError) -> bool = |e| matches!(e, MeterError::ForeignReply { .. });
    check(Wrong::Unit, foreign).await;
    check(Wrong::Transaction, foreign).await;
    check(Wrong::Function, foreign).await;
}

#[tokio::test]
async fn an_answer_of_another_length_is_refused() {
    for count in [0, 2, 21, 23] {
        check(Wrong::Length(count), |e| {
            matches!(e, MeterError::WrongLength { requested: 22, received, .. } if *received != 22)
        })
        .await;
    }
}

#[tokio::test]
async fn an_answer_that_is_no_modbus_is_refused() {
    let garbled: fn(&MeterError) -> bool = |e| matches!(e, MeterError::Garbled { .. });
    check(Wrong::ByteCount, garbled).await;
    check(Wrong::Protocol, garbled).await;
    check(Wrong::Garbage, garbled).await;
}

#[tokio::test]
async fn an_exception_is_sorted_by_what_to_do_about_it() {
    for code in 1..=3 {
        check(Wrong::Exception(code), |e| {
            matches!(
                e,
                MeterError::WrongRegisterMap {
                    finding: Finding::NoSuchRegister { .. },
                    ..
                }
            )
        })
        .await;
    }
    check(Wrong::Exception(6), |e| {
        matches!(e, MeterError::Refused { code: 6, .. })
    })
    .await;
    check(Wrong::Exception(11), |e| {
        matches!(e, MeterError::Silent { .. })
    })
    .await;
}

#[tokio::test]
async fn a_marker_in_place_of_energy_is_no_reading() {
    check(Wrong::Energy(NAN), |e| {
        matches!(
            e,
            MeterError::WrongRegisterMap {
                register: 0x48,
                finding: Finding::NoNumber(NoNumber::NotANumber),
                ..
            }
        )
    })
    .await;
    check(Wrong::Energy((-1.0_f32).to_bits()), |e| {
        matches!(
            e,
            MeterError::WrongRegisterMap {
                finding: Finding::NoNumber(NoNumber::Negative),
                ..
            }
        )
    })
    .await;
}

#[tokio::test]
async fn a_marker_in_place_of_power_leaves_the_energy() {
    let peer = HostileMeter::start().await;
    let mut meter = driver(peer.address);
    peer.do_next(Wrong::Power(NAN));
    let reading = read(&mut meter).await.expect("energy is good");
    assert_eq!(
        (reading.register.0, reading.power),
        (peer.register_wh(), None)
    );
}

#[tokio::test]
async fn an_answer_cut_short_is_asked_for_again() {
    let peer = HostileMeter::start().await;
    let mut meter = driver(peer.address);
    // On a new connection the loss is reported; on one kept open it may be idleness, so it is not.
    peer.do_next(Wrong::CutShort);
    let lost = read(&mut meter).await;
    assert!(
        matches!(lost, Err(MeterError::ConnectionLost { .. })),
        "{lost:?}"
    );
    read(&mut meter).await.expect("a good answer");
    peer.do_next(Wrong::CutShort);
    let reading = read(&mut meter).await.expect("the second answer");
    assert_eq!(reading.register.0, peer.register_wh());
}

#[tokio::test]
async fn an_answer_sent_twice_is_taken_once_or_not_at_all() {
    let peer = HostileMeter::start().await;
    let mut meter = driver(peer.address);
    peer.do_next(Wrong::Twice);
    // What follows an answer makes it doubtful, if it is there in time.
    if let Ok(reading) = read(&mut meter).await {
        assert_eq!(reading.register.0, peer.register_wh());
    }
    // The second copy is refused or was discarded unread; either way it is not read again.
    if let Ok(reading) = read(&mut meter).await {
        assert_eq!(reading.register.0, peer.register_wh());
    }
    let reading = read(&mut meter).await.expect("a good answer");
    assert_eq!(reading.register.0, peer.register_wh());
}

#[tokio::test]
async fn a_device_that_is_down_is_not_hammered() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let mut meter = driver(listener.local_addr().expect("it is bound"));
    drop(listener);
    let begun = tokio::time::Instant::now();
    for _ in 0..3 {
        let down = read(&mut meter).await;
        assert!(
            matches!(down, Err(MeterError::Unreachable { .. })),
            "{down:?}"
        );
    }
    // 250 ms before the second attempt, 500 ms before the third.
    assert!(begun.elapsed() >= Duration::from_millis(750));
}
