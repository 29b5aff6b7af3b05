//! Several units on one line, served over TCP, RTU on a serial port, and RTU over TCP.
//!
//! Modbus TCP is tokio-modbus's. RTU is served here, over whatever carries bytes.

use std::collections::BTreeMap;
use std::future::{Ready, ready};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, ToSocketAddrs};
use tokio::task::JoinHandle;
use tokio_modbus::server::Service;
use tokio_modbus::server::tcp::{Server, accept_tcp_connection};
use tokio_modbus::{ExceptionCode, Request, Response, SlaveRequest};
use tracing::debug;

use super::SimulatedUnit;
use crate::map::RegisterSpace;
use crate::transport::serial::SerialSettings;
use crate::transport::{Wire, rtu};

/// Illegal function.
const NO_SUCH_FUNCTION: u8 = 1;
/// Illegal data value.
const NO_SUCH_COUNT: u8 = 3;
/// The most registers one answer holds.
const MOST_REGISTERS: u16 = 125;

/// Units on one line, by unit id. Others meet silence, as on a real line.
#[derive(Clone, Default)]
pub struct SimulatedLine {
    units: Arc<BTreeMap<u8, Arc<dyn SimulatedUnit>>>,
}

/// A line that is being served; dropping it ends that.
#[derive(Debug)]
pub struct ServedLine {
    local_addr: Option<SocketAddr>,
    task: JoinHandle<()>,
}

impl SimulatedLine {
    /// A line with these units.
    #[must_use]
    pub fn new(units: impl IntoIterator<Item = (u8, Arc<dyn SimulatedUnit>)>) -> Self {
        Self {
            units: Arc::new(units.into_iter().collect()),
        }
    }

    /// Serves Modbus TCP; port 0 picks a free one.
    ///
    /// # Errors
    /// What binding the address ended with.
    pub async fn serve_tcp(self, address: impl ToSocketAddrs) -> io::Result<ServedLine> {
        let listener = TcpListener::bind(address).await?;
        let local_addr = Some(listener.local_addr()?);
        let task = tokio::spawn(async move {
            let on_connected = |stream, peer| {
                let line = self.clone();
                async move { accept_tcp_connection(stream, peer, |_| Ok(Some(line.clone()))) }
            };
            let on_error = |error| debug!(%error, "simulated line lost a connection");
            if let Err(error) = Server::new(listener).serve(&on_connected, on_error).await {
                debug!(%error, "simulated line stopped listening");
            }
        });
        Ok(ServedLine { local_addr, task })
    }

    /// Serves RTU frames over TCP, to one client after the other, as a converter would.
    ///
    /// # Errors
    /// What binding the address ended with.
    pub async fn serve_rtu_over_tcp(self, address: impl ToSocketAddrs) -> io::Result<ServedLine> {
        let listener = TcpListener::bind(address).await?;
        let local_addr = Some(listener.local_addr()?);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let end = self.serve_rtu(stream).await;
                debug!(?end, "simulated line lost its client");
            }
        });
        Ok(ServedLine { local_addr, task })
    }

    /// Serves RTU on a serial port.
    ///
    /// # Errors
    /// What opening the port ended with.
    pub fn serve_serial(self, settings: &SerialSettings) -> io::Result<ServedLine> {
        let port = settings.open()?;
        let task = tokio::spawn(async move {
            let end = self.serve_rtu(port).await;
            debug!(?end, "simulated line lost its serial port");
        });
        Ok(ServedLine {
            local_addr: None,
            task,
        })
    }

    /// Serves RTU over `wire` until it ends.
    ///
    /// # Errors
    /// How it ended, if not in order.
    pub async fn serve_rtu(&self, mut wire: impl Wire) -> io::Result<()> {
        let mut buffer = Vec::new();
        loop {
            if wire.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
            while let Some(request) = rtu::take_request(&mut buffer) {
                if let Some(unit) = self.units.get(&request.unit_id) {
                    let pdu = answer(unit.as_ref(), &request);
                    wire.write_all(&rtu::frame(request.unit_id, &pdu)).await?;
                    wire.flush().await?;
                }
            }
        }
    }
}

impl ServedLine {
    /// Where it listens, if it does.
    #[must_use]
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.local_addr
    }
}

impl Drop for ServedLine {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Service for SimulatedLine {
    type Request = SlaveRequest<'static>;
    type Response = Option<Response>;
    type Exception = ExceptionCode;
    type Future = Ready<Result<Self::Response, ExceptionCode>>;

    fn call(&self, request: Self::Request) -> Self::Future {
        let Some(unit) = self.units.get(&request.slave) else {
            return ready(Ok(None));
        };
        let answer = match request.request {
            Request::ReadInputRegisters(start, count) => {
                read(unit.as_ref(), RegisterSpace::Input, start, count)
                    .map(Response::ReadInputRegisters)
            }
            Request::ReadHoldingRegisters(start, count) => {
                read(unit.as_ref(), RegisterSpace::Holding, start, count)
                    .map(Response::ReadHoldingRegisters)
            }
            _ => Err(NO_SUCH_FUNCTION),
        };
        ready(answer.map(Some).map_err(ExceptionCode::new))
    }
}

fn read(
    unit: &dyn SimulatedUnit,
    space: RegisterSpace,
    start: u16,
    count: u16,
) -> Result<Vec<u16>, u8> {
    if !(1..=MOST_REGISTERS).contains(&count) {
        return Err(NO_SUCH_COUNT);
    }
    unit.read(space, start, count)
}

/// Function code and what follows it.
fn answer(unit: &dyn SimulatedUnit, request: &rtu::Request) -> Vec<u8> {
    let space = match request.function {
        3 => Some(RegisterSpace::Holding),
        4 => Some(RegisterSpace::Input),
        _ => None,
    };
    let words = space
        .ok_or(NO_SUCH_FUNCTION)
        .and_then(|space| read(unit, space, request.start, request.count));
    match words {
        Ok(words) => {
            let bytes = u8::try_from(words.len() * 2).expect("at most 125 registers");
            let registers = words.into_iter().flat_map(u16::to_be_bytes);
            [request.function, bytes]
                .into_iter()
                .chain(registers)
                .collect()
        }
        Err(code) => vec![request.function | 0x80, code],
    }
}
