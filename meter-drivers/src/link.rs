//! One connection to one meter: a request goes out, its own answer comes back, or the link is done.
//!
//! tokio-modbus checks transaction id, unit id and function code of an answer. It knows no timeout
//! and takes an answer with too few registers for a good one; both are made up for here.

use std::io;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_modbus::client::{Client, Context, tcp};
use tokio_modbus::{Error, ExceptionCode, ProtocolError, Request, Response, Slave};

use crate::block::Block;
use crate::error::{Finding, MeterError};
use crate::map::RegisterSpace;
use crate::tcp::MeterConfig;

/// An open connection with no answer outstanding.
///
/// After any error it must be dropped, not reused: the answer may still come.
pub(crate) struct Link {
    context: Context,
}

impl Link {
    /// Connects within the configured timeout, name lookup included.
    pub(crate) async fn open(config: &MeterConfig) -> Result<Self, MeterError> {
        let stream = match timeout(config.timeout, TcpStream::connect(&config.address)).await {
            Ok(connected) => connected,
            Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut)),
        };
        let stream = stream
            // One small request a time: waiting to fill a packet only adds delay.
            .and_then(|stream| stream.set_nodelay(true).map(|()| stream))
            .map_err(|source| MeterError::Unreachable {
                meter: config.name.clone(),
                address: config.address.clone(),
                source,
            })?;
        Ok(Self {
            context: tcp::attach_slave(stream, Slave(config.unit_id)),
        })
    }

    /// The registers of `block`, exactly as many as asked for.
    pub(crate) async fn read(
        &mut self,
        config: &MeterConfig,
        block: Block,
    ) -> Result<Vec<u16>, MeterError> {
        let request = match block.space {
            RegisterSpace::Input => Request::ReadInputRegisters(block.start, block.count),
            RegisterSpace::Holding => Request::ReadHoldingRegisters(block.start, block.count),
        };
        let asked_at = Instant::now();
        let answer = timeout(config.timeout, self.context.call(request))
            .await
            .map_err(|_| silent(config, asked_at.elapsed()))?
            .map_err(|error| transport_fault(config, error))?;
        let words = match answer {
            // tokio-modbus lets only the function code of the request through.
            Ok(Response::ReadInputRegisters(words) | Response::ReadHoldingRegisters(words)) => {
                words
            }
            Ok(_) => Vec::new(),
            Err(code) => return Err(exception(config, block, code, asked_at.elapsed())),
        };
        if words.len() != usize::from(block.count) {
            return Err(MeterError::WrongLength {
                meter: config.name.clone(),
                unit_id: config.unit_id,
                requested: block.count,
                received: words.len(),
            });
        }
        Ok(words)
    }
}

fn silent(config: &MeterConfig, waited: Duration) -> MeterError {
    MeterError::Silent {
        meter: config.name.clone(),
        unit_id: config.unit_id,
        waited_ms: u64::try_from(waited.as_millis()).unwrap_or(u64::MAX),
    }
}

/// Sorts an answer that is none: the line broke, the bytes are no Modbus, or it is another's answer.
fn transport_fault(config: &MeterConfig, error: Error) -> MeterError {
    let meter = config.name.clone();
    let address = config.address.clone();
    let foreign = |mismatch| MeterError::ForeignReply {
        meter: config.name.clone(),
        unit_id: config.unit_id,
        mismatch,
    };
    match error {
        Error::Protocol(ProtocolError::HeaderMismatch { message, .. }) => foreign(message),
        Error::Protocol(ProtocolError::FunctionCodeMismatch { request, .. }) => {
            foreign(format!("function code is not {request}"))
        }
        Error::Transport(source) => match source.kind() {
            // What the codec says of malformed frames and of lengths that contradict each other.
            io::ErrorKind::InvalidData
            | io::ErrorKind::InvalidInput
            | io::ErrorKind::UnexpectedEof => MeterError::Garbled {
                meter,
                address,
                source,
            },
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::TimedOut => MeterError::ConnectionLost {
                meter,
                address,
                source,
            },
            // At an orderly end tokio-modbus reports whatever error the system had last.
            _ => MeterError::ConnectionLost {
                meter,
                address,
                source: io::Error::from(io::ErrorKind::UnexpectedEof),
            },
        },
    }
}

fn exception(
    config: &MeterConfig,
    block: Block,
    code: ExceptionCode,
    waited: Duration,
) -> MeterError {
    match code {
        ExceptionCode::IllegalFunction
        | ExceptionCode::IllegalDataAddress
        | ExceptionCode::IllegalDataValue => MeterError::WrongRegisterMap {
            meter: config.name.clone(),
            map: config.map.id().to_owned(),
            register: block.start,
            finding: Finding::NoSuchRegister { code: code.into() },
        },
        // A Modbus gateway waited for the unit on our behalf.
        ExceptionCode::GatewayTargetDevice => silent(config, waited),
        _ => MeterError::Refused {
            meter: config.name.clone(),
            unit_id: config.unit_id,
            code: code.into(),
        },
    }
}
