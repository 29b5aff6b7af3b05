//! Meters of software: an SDM630, register for register, and units made from maps and recordings.
//!
//! A [`SimulatedLine`] serves several units over TCP, RTU on a serial port, or RTU over TCP. A
//! [`Simulator`] is one SDM630 on Modbus TCP.
//!
//! The SDM630's registers and its limit of 40 parameters a request are those of the sources that
//! `models/eastron-sdm630.toml` names; other addresses are refused as illegal. Energy is counted
//! exactly, from power and elapsed time, and shown as the meter shows it: an f32 of kWh that
//! coarsens as it grows.

mod encode;
mod image;
mod line;
mod registers;

use std::future::{Ready, ready};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use protocol::{EnergyWh, PowerW};
use tokio::net::{TcpListener, ToSocketAddrs};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_modbus::server::Service;
use tokio_modbus::server::tcp::{Server, accept_tcp_connection};
use tokio_modbus::{ExceptionCode, Request, Response, SlaveRequest};
use tracing::debug;

use crate::map::{RegisterSpace, WordOrder};

pub use image::{MapValues, RegisterImage};
pub use line::{ServedLine, SimulatedLine};

/// What answers for one unit id.
pub trait SimulatedUnit: Send + Sync {
    /// The registers, as many as asked for.
    ///
    /// # Errors
    /// The Modbus exception code to refuse with.
    fn read(&self, space: RegisterSpace, start: u16, count: u16) -> Result<Vec<u16>, u8>;
}

/// 1 W for 3.6 s is 1 mWh; time is counted in nanoseconds.
const WATT_NANOSECONDS_PER_MWH: u128 = 3_600_000_000;

/// What the simulated meter is and shows at the start.
#[derive(Clone, Debug)]
pub struct SimulatedMeter {
    /// Serial number at holding 0xFC00.
    pub serial: u32,
    /// The only unit id that is answered; requests for others meet silence, as on a serial line.
    pub unit_id: u8,
    /// Power drawn from the start on.
    pub power: PowerW,
    /// Total import at the start, in mWh.
    pub energy_mwh: u64,
    /// How many seconds of charge pass in one real second.
    pub time_factor: u32,
    /// Register order setting; the factory's is most significant word first.
    pub word_order: WordOrder,
    /// Energy prefix setting: MWh where set, else the factory's kWh.
    pub shows_megawatt_hours: bool,
}

impl Default for SimulatedMeter {
    /// A new meter as the factory ships it: unit 1, no load, in real time.
    fn default() -> Self {
        Self {
            serial: 21_070_042,
            unit_id: 1,
            power: PowerW(0),
            energy_mwh: 0,
            time_factor: 1,
            word_order: WordOrder::MswFirst,
            shows_megawatt_hours: false,
        }
    }
}

/// A running simulated meter; dropping it cuts its connections and frees its port.
pub struct Simulator {
    local_addr: SocketAddr,
    state: Shared,
    server: JoinHandle<()>,
}

impl Simulator {
    /// Starts `meter` on `address`; port 0 picks a free one.
    ///
    /// # Errors
    /// What binding the address ended with.
    pub async fn bind(address: impl ToSocketAddrs, meter: SimulatedMeter) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let local_addr = listener.local_addr()?;
        let state = Shared::new(meter);
        let server = tokio::spawn(serve(listener, state.clone()));
        Ok(Self {
            local_addr,
            state,
            server,
        })
    }

    /// The same meter, to be served on a line with others.
    #[must_use]
    pub fn unit(&self) -> Arc<dyn SimulatedUnit> {
        Arc::new(self.state.clone())
    }

    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Its serial number.
    #[must_use]
    pub fn serial(&self) -> u32 {
        self.state.lock().meter.serial
    }

    /// Draws `power` from now on.
    pub fn set_power(&self, power: PowerW) {
        self.state.lock().change(|meter| meter.power = power);
    }

    /// Lets `time_factor` seconds of charge pass in each real second from now on.
    pub fn set_time_factor(&self, time_factor: u32) {
        self.state
            .lock()
            .change(|meter| meter.time_factor = time_factor);
    }

    /// Sets total import to `energy_mwh`; it goes on rising from there.
    pub fn set_energy_mwh(&self, energy_mwh: u64) {
        self.state.lock().set_energy_mwh(energy_mwh);
    }

    /// Total import by now, in whole mWh, rounded down.
    #[must_use]
    pub fn energy_mwh(&self) -> u64 {
        self.state.lock().energy_mwh()
    }

    /// Total import by now, in whole Wh, rounded down. The register shows it as finely as f32 can.
    #[must_use]
    pub fn energy_wh(&self) -> EnergyWh {
        EnergyWh(self.energy_mwh() / 1000)
    }

    /// Cuts every connection, frees the port, and returns the meter as it stands, to start it again.
    pub async fn stop(mut self) -> SimulatedMeter {
        self.server.abort();
        // Cancelled, which is what was asked for.
        let _ = (&mut self.server).await;
        let state = self.state.lock();
        SimulatedMeter {
            energy_mwh: state.energy_mwh(),
            ..state.meter.clone()
        }
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(listener: TcpListener, state: Shared) {
    let on_connected = |stream, peer| {
        let service = state.clone();
        async move { accept_tcp_connection(stream, peer, |_| Ok(Some(service.clone()))) }
    };
    let on_error = |error| debug!(%error, "simulated meter lost a connection");
    if let Err(error) = Server::new(listener).serve(&on_connected, on_error).await {
        debug!(%error, "simulated meter stopped listening");
    }
}

#[derive(Clone)]
struct Shared(Arc<Mutex<State>>);

impl Shared {
    fn new(meter: SimulatedMeter) -> Self {
        Self(Arc::new(Mutex::new(State::new(meter))))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no holder of the lock panics")
    }
}

impl Service for Shared {
    type Request = SlaveRequest<'static>;
    type Response = Option<Response>;
    type Exception = ExceptionCode;
    type Future = Ready<Result<Self::Response, ExceptionCode>>;

    fn call(&self, request: Self::Request) -> Self::Future {
        let state = self.lock();
        if request.slave != state.meter.unit_id {
            return ready(Ok(None));
        }
        ready(state.answer(&request.request).map(Some))
    }
}

struct State {
    meter: SimulatedMeter,
    /// Energy up to `since`, in W × ns.
    counted: u128,
    since: Instant,
}

impl State {
    fn new(meter: SimulatedMeter) -> Self {
        Self {
            counted: u128::from(meter.energy_mwh) * WATT_NANOSECONDS_PER_MWH,
            since: Instant::now(),
            meter,
        }
    }

    /// Counts up to now under the old settings, then changes them.
    fn change(&mut self, change: impl FnOnce(&mut SimulatedMeter)) {
        let now = Instant::now();
        self.counted = self.counted_at(now);
        self.since = now;
        change(&mut self.meter);
    }

    fn set_energy_mwh(&mut self, energy_mwh: u64) {
        self.counted = u128::from(energy_mwh) * WATT_NANOSECONDS_PER_MWH;
        self.since = Instant::now();
    }

    fn counted_at(&self, now: Instant) -> u128 {
        let elapsed = now.duration_since(self.since).as_nanos();
        let rate = u128::from(self.meter.power.0) * u128::from(self.meter.time_factor);
        self.counted + rate * elapsed
    }

    fn energy_mwh(&self) -> u64 {
        let energy_mwh = self.counted_at(Instant::now()) / WATT_NANOSECONDS_PER_MWH;
        u64::try_from(energy_mwh).unwrap_or(u64::MAX)
    }

    fn answer(&self, request: &Request<'_>) -> Result<Response, ExceptionCode> {
        match *request {
            Request::ReadInputRegisters(start, count) => self
                .words(RegisterSpace::Input, start, count)
                .map(Response::ReadInputRegisters),
            Request::ReadHoldingRegisters(start, count) => self
                .words(RegisterSpace::Holding, start, count)
                .map(Response::ReadHoldingRegisters),
            _ => Err(ExceptionCode::IllegalFunction),
        }
    }

    fn words(
        &self,
        space: RegisterSpace,
        start: u16,
        count: u16,
    ) -> Result<Vec<u16>, ExceptionCode> {
        let shown = registers::Shown {
            meter: &self.meter,
            energy_mwh: self.energy_mwh(),
        };
        registers::words(start, count, self.meter.word_order, |at| match space {
            RegisterSpace::Input => shown.input(at),
            RegisterSpace::Holding => shown.holding(at),
        })
    }
}

impl SimulatedUnit for Shared {
    fn read(&self, space: RegisterSpace, start: u16, count: u16) -> Result<Vec<u16>, u8> {
        self.lock().words(space, start, count).map_err(u8::from)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::advance;

    use super::*;

    #[track_caller]
    fn check(state: &State, expected_mwh: u64) {
        assert_eq!(state.energy_mwh(), expected_mwh);
    }

    #[tokio::test(start_paused = true)]
    async fn energy_is_power_times_time_under_each_setting() {
        let mut state = State::new(SimulatedMeter {
            power: PowerW(7_400),
            energy_mwh: 500,
            ..SimulatedMeter::default()
        });
        advance(Duration::from_secs(3_600)).await;
        check(&state, 7_400_500);
        state.change(|meter| meter.power = PowerW(1));
        advance(Duration::from_millis(3_599)).await;
        check(&state, 7_400_500);
        advance(Duration::from_millis(1)).await;
        check(&state, 7_400_501);
        state.change(|meter| meter.time_factor = 1_000);
        advance(Duration::from_millis(3_600)).await;
        check(&state, 7_401_501);
        state.set_energy_mwh(3);
        check(&state, 3);
    }
}
