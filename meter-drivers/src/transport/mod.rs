//! Where the bytes go: Modbus TCP, RTU on a serial port, and RTU carried over TCP.
//!
//! An [`Endpoint`] says which, and how to get there. What comes back is taken apart by [`rtu`] or
//! `mbap` into frames, which say of which unit and of which function they are; whether a frame is
//! the answer to what was asked is for [`bus`](crate::bus) to judge.
//!
//! Both framings are our own, not tokio-modbus's, whose client offers no way to do what a bill needs:
//!
//! - Its RTU client returns a late answer as the next one, looks for a frame inside garbage by dropping
//!   bytes until a checksum fits, and keeps the line to itself, so that nobody can wait for silence.
//! - Its TCP client numbers the requests of each connection from 0: an old answer that a device kept
//!   for the next connection then has a number that fits. After a timeout it can only be dropped,
//!   which costs every other meter behind the same device its connection.
//!
//! What is needed of Modbus is small: five bytes out, with what is written behind them, and an answer
//! that says its own length.

pub(crate) mod command;
pub(crate) mod mbap;
pub mod pace;
pub(crate) mod pdu;
pub mod rtu;
pub mod serial;

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use pace::Pace;
use serial::SerialSettings;

/// A way to meters.
#[derive(Clone, Debug)]
pub enum Endpoint {
    /// Modbus TCP: a meter, or a gateway with several behind it.
    Tcp {
        /// Host name or address, and port: `192.0.2.7:502`.
        address: String,
    },
    /// RTU on a serial port of this machine.
    Serial(SerialSettings),
    /// RTU frames over TCP, to a converter that passes bytes on as they are.
    RtuOverTcp {
        /// Host name or address, and port.
        address: String,
        /// Rate of the line behind the converter, which the silence between frames follows.
        baud: u32,
    },
    /// Any other stream of bytes, in the framing named.
    Wires {
        /// How frames are told apart.
        framing: Framing,
        /// Rate that the silence between RTU frames follows.
        baud: u32,
        /// Opens the stream.
        dial: Arc<dyn Dial>,
    },
}

/// How frames are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// A header with a transaction id and a length.
    ///
    /// # Source
    /// MODBUS Messaging on TCP/IP Implementation Guide V1.0b, section 3.1.3.
    Tcp,
    /// A unit id, a checksum, and silence between frames.
    ///
    /// # Source
    /// MODBUS over Serial Line V1.02, section 2.5.1.
    Rtu,
}

/// A stream of bytes to meters and back.
pub trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// What [`Dial::dial`] gives.
pub type Dialled<'a> = Pin<Box<dyn Future<Output = io::Result<Box<dyn Wire>>> + Send + 'a>>;

/// Opens a stream to meters, again each time the one before it ended.
pub trait Dial: fmt::Debug + Send + Sync {
    /// Opens it.
    fn dial(&self) -> Dialled<'_>;
}

impl Endpoint {
    /// How frames are told apart there.
    #[must_use]
    pub fn framing(&self) -> Framing {
        match self {
            Self::Tcp { .. } => Framing::Tcp,
            Self::Serial(_) | Self::RtuOverTcp { .. } => Framing::Rtu,
            Self::Wires { framing, .. } => *framing,
        }
    }

    /// How fast the line is.
    pub(crate) fn pace(&self) -> Pace {
        match self {
            Self::Tcp { .. }
            | Self::Wires {
                framing: Framing::Tcp,
                ..
            } => Pace::INSTANT,
            Self::Serial(settings) => Pace::at(settings.baud),
            Self::RtuOverTcp { baud, .. } | Self::Wires { baud, .. } => Pace::at(*baud),
        }
    }

    /// Whether the stream is a connection, which its end or ours can open anew at no cost to the line.
    ///
    /// A serial port stays open: what is silent is the meter, and some adapters pulse their control
    /// lines when they are opened.
    pub(crate) fn is_connection(&self) -> bool {
        !matches!(self, Self::Serial(_))
    }

    /// Opens the stream; it may take as long as it takes.
    pub(crate) async fn open(&self) -> io::Result<Box<dyn Wire>> {
        match self {
            Self::Tcp { address } | Self::RtuOverTcp { address, .. } => {
                let stream = TcpStream::connect(address).await?;
                // One small request a time: waiting to fill a packet only adds delay.
                stream.set_nodelay(true)?;
                Ok(Box::new(stream))
            }
            Self::Serial(settings) => Ok(Box::new(settings.open()?)),
            Self::Wires { dial, .. } => dial.dial().await,
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { address } | Self::RtuOverTcp { address, .. } => f.write_str(address),
            Self::Serial(settings) => write!(f, "{}", settings.path.display()),
            Self::Wires { dial, .. } => write!(f, "{dial:?}"),
        }
    }
}
