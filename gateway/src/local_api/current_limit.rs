//! Somebody limits the current of a charge that runs.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};

use super::{Api, Refused, refuse};

/// Milliamperes per phase.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Limit {
    current_limit_ma: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Limited {
    current_limit_ma: u32,
}

/// Answers when the device shows the limit. It holds until the charge ends.
pub(super) async fn set(
    State(api): State<Api>,
    Path(outlet): Path<String>,
    Json(limit): Json<Limit>,
) -> Result<Json<Limited>, Refused> {
    let mut chargers = api.modbus_chargers.values();
    let charger = chargers.find(|charger| charger.outlet() == outlet);
    let power = charger.and_then(|charger| charger.power());
    let Some((power, limits)) = power.and_then(|power| Some((power, power.limits()?))) else {
        let text = "no [[modbus_charger]] with a current_limit is at an outlet of this name";
        return Err(refuse(StatusCode::NOT_FOUND, text));
    };
    let limit_ma = limit.current_limit_ma;
    if !(limits.minimum_ma..=limits.maximum_ma).contains(&limit_ma) {
        let text = format!(
            "currentLimitMa is {} to {} here",
            limits.minimum_ma, limits.maximum_ma
        );
        return Err(refuse(StatusCode::BAD_REQUEST, &text));
    }
    if !power.state().is_wanted {
        let text = "no charge has power at this outlet; each begins with the highest limit";
        return Err(refuse(StatusCode::CONFLICT, text));
    }
    match power.limit(limit_ma).await {
        Ok(()) => Ok(Json(Limited {
            current_limit_ma: limit_ma,
        })),
        Err(why) => Err(refuse(StatusCode::BAD_GATEWAY, &why)),
    }
}
