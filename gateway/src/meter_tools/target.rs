//! One meter named on the command line: its line, its unit id, its map, and a reading of all of it.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use meter_drivers::error::Finding;
use meter_drivers::{
    Block, Bus, Connection, Endpoint, Measurand, Meter, MeterConfig, MeterError, Recorded,
    RegisterMap,
};

use super::arguments::MeterArguments;
use super::line::{Line, check_opens};
use super::map_of;
use super::probe::discover;
use crate::clock::Clock;

/// Unit id where neither the command line nor the map says any.
const USUAL_UNIT: u8 = 1;

/// A meter that can be read.
pub(crate) struct Target {
    pub(crate) endpoint: Endpoint,
    pub(crate) unit_id: u8,
    pub(crate) map: Arc<RegisterMap>,
    /// What a SunSpec device said of its own registers.
    pub(crate) discovered: Vec<Recorded>,
    pub(crate) meter: Meter,
    clock: Clock,
}

impl Target {
    /// The meter of `arguments`; one of SunSpec is discovered now.
    pub(crate) async fn find(arguments: &MeterArguments) -> anyhow::Result<Self> {
        let is_sunspec = arguments.model == "sunspec";
        let map = match is_sunspec {
            true => None,
            false => Some(map_of(&arguments.models.load()?, &arguments.model)?),
        };
        let unknown = Connection::default();
        let factory = map.as_ref().map_or(&unknown, |map| map.connection());
        let endpoint = arguments.line.endpoint(factory)?;
        let unit_id = arguments.unit.or(factory.unit_id).unwrap_or(USUAL_UNIT);
        let mut line = Line::new(endpoint.clone(), arguments.timeout_ms);
        check_opens(&mut line).await?;
        let (map, discovered) = match map {
            Some(map) => (map, Vec::new()),
            None => {
                let (layout, discovered) = discover(&mut line, unit_id).await;
                let layout = layout.with_context(|| {
                    format!("unit {unit_id} at {endpoint} cannot be read as SunSpec")
                })?;
                (Arc::new(layout.into_map()), discovered)
            }
        };
        // Some devices accept one connection.
        drop(line);
        let config = MeterConfig {
            name: map.id().to_owned(),
            unit_id,
            timeout: arguments.timeout_ms,
            pause: Duration::ZERO,
            map: Arc::clone(&map),
        };
        Ok(Self {
            meter: Meter::new(config, &Bus::start(endpoint.clone())),
            endpoint,
            unit_id,
            map,
            discovered,
            clock: Clock::default(),
        })
    }

    /// The registers of `block`; `None` where the device has none.
    ///
    /// # Errors
    /// Whatever else is in the way of an answer.
    pub(crate) async fn registers(&mut self, block: Block) -> Result<Option<Recorded>, MeterError> {
        let clock = &self.clock;
        match self.meter.registers(block, &|| clock.now()).await {
            Ok(answer) => Ok(Some(answer)),
            Err(MeterError::WrongRegisterMap {
                finding: Finding::NoSuchRegister { .. },
                ..
            }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Everything that the map measures, as raw registers, in the requests that the map plans.
    ///
    /// Firmware that refuses what lies between is asked for each value by itself.
    ///
    /// # Errors
    /// Whatever else is in the way of an answer.
    pub(crate) async fn read(&mut self) -> Result<Vec<Recorded>, MeterError> {
        let map = Arc::clone(&self.map);
        let mut answers = Vec::new();
        for request in map.requests(&Measurand::ALL) {
            if let Some(answer) = self.registers(request.block).await? {
                answers.push(answer);
                continue;
            }
            let within = map.quantities().iter().map(|quantity| quantity.block());
            for block in
                within.filter(|&block| request.block.holds(block) && block != request.block)
            {
                answers.extend(self.registers(block).await?);
            }
        }
        Ok(answers)
    }
}

/// An error of a meter with its cause, and where to go from here.
pub(crate) fn told(error: &MeterError, endpoint: &Endpoint) -> anyhow::Error {
    let cause = error
        .source()
        .map(|cause| format!(": {cause}"))
        .unwrap_or_default();
    let way = match endpoint {
        Endpoint::Serial(_) => "--serial",
        Endpoint::RtuOverTcp { .. } => "--rtu-over-tcp",
        _ => "--tcp",
    };
    match error {
        MeterError::WrongRegisterMap { .. } | MeterError::NotBillable { .. } => anyhow::anyhow!(
            "{error}{cause}; charge-gateway meters scan {way} {endpoint} tells the model"
        ),
        _ => anyhow::anyhow!(
            "{error}{cause}; charge-gateway meters diagnose {way} {endpoint} tells more"
        ),
    }
}
