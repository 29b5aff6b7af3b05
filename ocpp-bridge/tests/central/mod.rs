//! A central system: our southbound face with a host that writes down what it hears.

use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ocpp_bridge::session::Authorization;
use ocpp_bridge::v16::central_system::{
    self, BeginCharge, Begun, BootAnswer, BootInfo, BootStatus, CentralSystemHost, DataAnswer,
    DataRequest, EndCharge, HostError, MeterReport, StatusReport,
};
use protocol::link::{self, CallFailure, Decision, Link, LinkOptions};
use protocol::rpc::to_json;
use protocol::{IdTag, UnixMillis};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep};

use crate::outlet::at;

pub(crate) type Answer = BootStatus;

pub(crate) struct Central {
    pub(crate) url: String,
    host: Arc<Host>,
}

struct Host {
    heard: Mutex<Vec<String>>,
    link: Mutex<Option<Link>>,
    refuses: Mutex<bool>,
    boots: Mutex<BootStatus>,
    failing_begins: AtomicU32,
    heartbeats: AtomicU32,
    last_transaction: AtomicI32,
}

impl Host {
    fn hear(&self, what: String) {
        self.heard.lock().expect("no panic").push(what);
    }
}

fn since_start(time: UnixMillis) -> u64 {
    time.since_ms(at(0))
}

impl CentralSystemHost for Host {
    fn now(&self) -> UnixMillis {
        // Asked once for each boot and each heartbeat.
        self.heartbeats.fetch_add(1, Ordering::Relaxed);
        at(0)
    }

    async fn boot(&self, _: &str, info: BootInfo) -> Result<BootAnswer, HostError> {
        self.hear(format!("boot {}", info.vendor));
        let status = *self.boots.lock().expect("no panic");
        let interval_s = if status == BootStatus::Accepted {
            300
        } else {
            1
        };
        Ok(BootAnswer { status, interval_s })
    }

    async fn authorize(&self, _: &str, id_tag: &IdTag) -> Result<Authorization, HostError> {
        Ok(match id_tag.as_str() {
            "BAD" => Authorization::Blocked,
            _ => Authorization::Accepted {
                expiry: None,
                parent: None,
            },
        })
    }

    async fn begin(&self, charge: BeginCharge) -> Result<Begun, HostError> {
        let fails = self.failing_begins.load(Ordering::Relaxed);
        if fails > 0 {
            self.failing_begins.store(fails - 1, Ordering::Relaxed);
            return Err(HostError::Unavailable {
                why: "told to".to_owned(),
            });
        }
        let transaction_id = self.last_transaction.fetch_add(1, Ordering::Relaxed) + 1;
        self.hear(format!(
            "begin {transaction_id} {} {} @{}",
            charge.id_tag.as_str(),
            charge.register.0,
            since_start(charge.at)
        ));
        let authorization = self.authorize("", &charge.id_tag).await?;
        Ok(Begun {
            transaction_id,
            authorization,
        })
    }

    async fn observe(&self, report: MeterReport) -> Result<(), HostError> {
        for observation in report.observations {
            self.hear(format!(
                "meter {} {} @{}",
                report.transaction_id.unwrap_or(0),
                observation.register.map_or(0, |register| register.0),
                since_start(observation.at)
            ));
        }
        Ok(())
    }

    async fn end(&self, charge: EndCharge) -> Result<Option<Authorization>, HostError> {
        self.hear(format!(
            "end {} {} @{} {:?}",
            charge.transaction_id,
            charge.register.0,
            since_start(charge.at),
            charge.reason
        ));
        Ok(None)
    }

    async fn status(&self, report: StatusReport) -> Result<(), HostError> {
        self.hear(format!("status {} {:?}", report.connector, report.status));
        Ok(())
    }

    async fn data_transfer(&self, _: &str, _: DataRequest) -> Result<DataAnswer, HostError> {
        Ok(DataAnswer::UnknownMessageId)
    }
}

impl Central {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let url = format!("ws://{}/ocpp", listener.local_addr().expect("bound"));
        let host = Arc::new(Host {
            heard: Mutex::default(),
            link: Mutex::default(),
            refuses: Mutex::default(),
            boots: Mutex::new(BootStatus::Accepted),
            failing_begins: AtomicU32::new(0),
            heartbeats: AtomicU32::new(0),
            last_transaction: AtomicI32::new(0),
        });
        tokio::spawn(listen(listener, Arc::clone(&host)));
        Self { url, host }
    }

    /// Waits until `what` has been heard.
    pub(crate) async fn heard(&self, what: &str) {
        self.heard_times(what, 1).await;
    }

    pub(crate) async fn heard_times(&self, what: &str, times: usize) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while self.count(what) < times {
            let heard = self.host.heard.lock().expect("no panic").clone();
            assert!(Instant::now() < deadline, "{what} not among {heard:#?}");
            sleep(Duration::from_millis(5)).await;
        }
    }

    pub(crate) fn count(&self, what: &str) -> usize {
        let heard = self.host.heard.lock().expect("no panic");
        heard.iter().filter(|line| *line == what).count()
    }

    /// What belongs to transactions was heard exactly so, in this order.
    pub(crate) fn check_order(&self, expected: &[&str]) {
        let heard = self.host.heard.lock().expect("no panic");
        let transactions: Vec<&String> = heard
            .iter()
            .filter(|line| {
                ["begin", "meter", "end"]
                    .iter()
                    .any(|word| line.starts_with(word))
            })
            .collect();
        assert_eq!(transactions, expected);
    }

    pub(crate) fn heartbeats(&self) -> u32 {
        self.host.heartbeats.load(Ordering::Relaxed)
    }

    pub(crate) fn answer_boots(&self, status: Answer) {
        *self.host.boots.lock().expect("no panic") = status;
    }

    pub(crate) fn fail_begins(&self, times: u32) {
        self.host.failing_begins.store(times, Ordering::Relaxed);
    }

    pub(crate) async fn refuse_links(&self) {
        *self.host.refuses.lock().expect("no panic") = true;
        let link = self.host.link.lock().expect("no panic").take();
        if let Some(link) = link {
            link.close().await;
        }
    }

    pub(crate) fn allow_links(&self) {
        *self.host.refuses.lock().expect("no panic") = false;
    }

    /// Calls the charge point.
    pub(crate) async fn try_call(
        &self,
        action: &str,
        payload: Value,
    ) -> Result<Value, CallFailure> {
        let link = self.host.link.lock().expect("no panic").clone();
        let answer = link
            .expect("connected")
            .call(action, to_json(&payload))
            .await?;
        Ok(serde_json::from_str(answer.get()).expect("JSON"))
    }

    pub(crate) async fn call(&self, action: &str, payload: Value) -> Value {
        self.try_call(action, payload).await.expect("answered")
    }
}

async fn listen(listener: TcpListener, host: Arc<Host>) {
    let options = LinkOptions {
        call_timeout: Duration::from_millis(500),
        ..LinkOptions::default()
    };
    while let Ok((stream, _)) = listener.accept().await {
        if *host.refuses.lock().expect("no panic") {
            continue;
        }
        let (host, options) = (Arc::clone(&host), options.clone());
        tokio::spawn(async move {
            let mut identity = String::new();
            let opened = link::accept(stream, &options, |offer| {
                match link::identity(offer.path, "/ocpp/") {
                    Some(found) => identity = found,
                    None => return Decision::not_found(),
                }
                Decision::negotiate(offer, &[ocpp_bridge::v16::SUBPROTOCOL])
            });
            if let Ok(mut connection) = opened.await {
                *host.link.lock().expect("no panic") = Some(connection.link.clone());
                central_system::serve(&mut connection.events, &identity, host).await;
            }
        });
    }
}
