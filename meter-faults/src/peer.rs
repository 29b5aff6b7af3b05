//! The peer in process: tokio-modbus's server, whose registers are stamped when they are read.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use meter_drivers::Framing;
use tokio::io::{DuplexStream, duplex};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_modbus::server::{Service, rtu_over_tcp, tcp};
use tokio_modbus::{ExceptionCode, Request, Response, SlaveRequest};

use crate::stamp::{ENERGY_AT, Kind, POWER_AT, SERIAL_AT, SETTING, SETTING_AT, Stamp, UNITS};

/// How long a meter takes to answer.
const ANSWER_TIME: Duration = Duration::from_millis(15);

/// A running server and the stream to it.
pub(crate) struct Peer {
    pub(crate) stream: DuplexStream,
    pub(crate) server: JoinHandle<io::Result<()>>,
    /// tokio-modbus wants a connection to begin with; nothing goes over it.
    pub(crate) opened: TcpStream,
}

/// Starts the server. It must be called before time is paused.
pub(crate) async fn start(framing: Framing, began: Instant) -> io::Result<Peer> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let (stream, theirs) = duplex(4_096);
    let (taken, is_taken) = tokio::sync::oneshot::channel();
    let theirs = Mutex::new(Some((theirs, taken)));
    let on_connected = move |_: TcpStream, _| {
        let theirs = theirs.lock().expect("no holder panics").take();
        std::future::ready(Ok(theirs.map(|(theirs, taken)| {
            // Whoever waits for it is below.
            let _ = taken.send(());
            (Meters { began }, theirs)
        })))
    };
    let on_error = |_| ();
    let server = tokio::spawn(async move {
        match framing {
            Framing::Tcp => {
                tcp::Server::new(listener)
                    .serve(&on_connected, on_error)
                    .await
            }
            Framing::Rtu => {
                let server = rtu_over_tcp::Server::new(listener);
                server.serve(&on_connected, on_error).await
            }
        }
    });
    let opened = TcpStream::connect(address).await?;
    is_taken.await.map_err(io::Error::other)?;
    Ok(Peer {
        stream,
        server,
        opened,
    })
}

struct Meters {
    began: Instant,
}

type Answering = Pin<Box<dyn Future<Output = Result<Option<Response>, ExceptionCode>> + Send>>;

impl Service for Meters {
    type Request = SlaveRequest<'static>;
    type Response = Option<Response>;
    type Exception = ExceptionCode;
    type Future = Answering;

    fn call(&self, asked: Self::Request) -> Self::Future {
        let began = self.began;
        Box::pin(async move {
            tokio::time::sleep(ANSWER_TIME).await;
            if !UNITS.contains(&asked.slave) {
                return Ok(None);
            }
            let unit = Shown {
                unit_id: asked.slave,
                at_ms: millis(began.elapsed()),
            };
            match asked.request {
                Request::ReadInputRegisters(start, count) => unit
                    .words(start, count, |at| unit.input(at))
                    .map(Response::ReadInputRegisters),
                Request::ReadHoldingRegisters(start, count) => unit
                    .words(start, count, |at| unit.holding(at))
                    .map(Response::ReadHoldingRegisters),
                _ => Err(ExceptionCode::IllegalFunction),
            }
            .map(Some)
        })
    }
}

/// Milliseconds of a run.
pub(crate) fn millis(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).expect("a run is shorter than 49 days")
}

#[derive(Clone, Copy)]
struct Shown {
    unit_id: u8,
    at_ms: u32,
}

impl Shown {
    fn stamp(self, kind: Kind) -> u32 {
        let Self { unit_id, at_ms } = self;
        Stamp {
            unit_id,
            kind,
            at_ms,
        }
        .bits()
    }

    fn input(self, at: u16) -> Option<u32> {
        match at {
            ENERGY_AT => Some(self.stamp(Kind::Energy)),
            POWER_AT => Some(self.stamp(Kind::Power)),
            _ => Some(0),
        }
    }

    fn holding(self, at: u16) -> Option<u32> {
        match at {
            SETTING_AT => Some(SETTING),
            SERIAL_AT => {
                let serial = Self { at_ms: 0, ..self };
                Some(serial.stamp(Kind::Serial))
            }
            _ => None,
        }
    }

    fn words(
        self,
        start: u16,
        count: u16,
        value: impl Fn(u16) -> Option<u32>,
    ) -> Result<Vec<u16>, ExceptionCode> {
        let mut words = Vec::new();
        for at in (start..start + count).step_by(2) {
            let [a, b, c, d] = value(at)
                .ok_or(ExceptionCode::IllegalDataAddress)?
                .to_be_bytes();
            words.extend([u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])]);
        }
        Ok(words)
    }
}

/// A value that several tasks add to.
pub(crate) type Shared<T> = Arc<Mutex<T>>;
