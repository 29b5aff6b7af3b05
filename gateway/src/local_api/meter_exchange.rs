//! Somebody exchanged an outlet's meter.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use ledger::node::{ExchangeRefusal, Input};
use protocol::EnergyWh;
use serde::{Deserialize, Serialize};

use super::{Api, Refused, refuse};

/// The longest model and serial number of a meter.
const MAX_METER_BYTES: usize = 128;

/// The registers in Wh, and what the new meter is.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Exchange {
    last_register_wh: u64,
    first_register_wh: u64,
    meter: String,
}

#[derive(Serialize)]
pub(super) struct Exchanged {
    outlet: String,
}

/// Answers when it is durable. It is recorded in the chain once the charges by the old meter are in
/// blocks; charges by the new one wait for that.
pub(super) async fn exchange(
    State(api): State<Api>,
    Path(outlet): Path<String>,
    Json(exchange): Json<Exchange>,
) -> Result<Json<Exchanged>, Refused> {
    if exchange.meter.is_empty() || exchange.meter.len() > MAX_METER_BYTES {
        let text = "meter is the model and serial number of the new meter, 1 to 128 bytes";
        return Err(refuse(StatusCode::BAD_REQUEST, text));
    }
    if api.charges.at_outlet(&outlet).is_some() {
        let text = "a charge is running at this outlet; stop it first";
        return Err(refuse(StatusCode::CONFLICT, text));
    }
    let last_register = EnergyWh(exchange.last_register_wh);
    let first_register = EnergyWh(exchange.first_register_wh);
    let (name, meter) = (outlet.clone(), exchange.meter.clone());
    let looked =
        api.look(move |node| node.check_exchange(&name, &meter, (last_register, first_register)));
    if let Err(refusal) = looked.await? {
        let status = match refusal {
            ExchangeRefusal::Outlet => StatusCode::NOT_FOUND,
            ExchangeRefusal::Busy | ExchangeRefusal::Register => StatusCode::CONFLICT,
        };
        return Err(refuse(status, &refusal.to_string()));
    }
    let input = Input::ExchangeMeter {
        outlet: outlet.clone(),
        meter: exchange.meter,
        last_register,
        first_register,
    };
    api.give(input).await?;
    Ok(Json(Exchanged { outlet }))
}
