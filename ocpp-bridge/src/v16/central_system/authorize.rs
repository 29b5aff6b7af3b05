//! Authorize.

use protocol::IdTag;
use protocol::rpc::{Json, to_json};
use rust_ocpp::v1_6::messages::authorize::{AuthorizeRequest, AuthorizeResponse};

use super::CentralSystemHost;
use crate::session::Authorization;
use crate::v16::{Refusal, convert, messages, schema};

pub(super) async fn answer<H: CentralSystemHost>(
    host: &H,
    charge_point: &str,
    payload: &Json,
) -> Result<Json, Refusal> {
    let request: AuthorizeRequest = schema::read(payload, messages::AUTHORIZE)?;
    // A text that cannot be an idTag is the idTag of nobody.
    let authorization = match IdTag::parse(&request.id_tag) {
        Ok(id_tag) => host.authorize(charge_point, &id_tag).await?,
        Err(_) => Authorization::Invalid,
    };
    Ok(to_json(&AuthorizeResponse {
        id_tag_info: convert::id_tag_info(&authorization),
    }))
}
