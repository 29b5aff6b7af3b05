//! A gateway or provider: a configuration, a process that may end, and what it tells over HTTP.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::http::{self, Answer};
use crate::place::{Place, text};
use crate::process::Process;
use crate::wait::until;

/// Addresses in configurations: their placeholder, and the line that tells the one taken.
const ADDRESSES: [(&str, &str, &str); 4] = [
    ("{links}", "listening for gateways on ws://", ""),
    ("{operator}", "operator API on http://", ""),
    ("{ocpp}", "listening for OCPP chargers on ws://", "/ocpp/"),
    ("{api}", "local API on http://", ""),
];

/// A gateway or provider. The address it took at its first start it keeps.
#[derive(Debug)]
pub struct Server {
    // First, so that it ends before its directory is gone.
    process: Option<Process>,
    place: Place,
    name: String,
    role: &'static str,
    template: String,
    addresses: BTreeMap<&'static str, String>,
    starts: u32,
}

impl Server {
    /// A provider that is not started yet. `template` is its configuration with placeholders.
    #[must_use]
    pub fn provider(place: &Place, template: &str) -> Self {
        Self::new(place, "provider", "provider", template)
    }

    /// Another provider than the first, under a name of its own.
    #[must_use]
    pub fn other_provider(place: &Place, name: &str, template: &str) -> Self {
        Self::new(place, name, "provider", template)
    }

    /// A gateway that is not started yet.
    #[must_use]
    pub fn gateway(place: &Place, name: &str, template: &str) -> Self {
        Self::new(place, name, "gateway", template)
    }

    fn new(place: &Place, name: &str, role: &'static str, template: &str) -> Self {
        Self {
            place: place.clone(),
            name: name.to_owned(),
            role,
            template: template.to_owned(),
            addresses: BTreeMap::new(),
            process: None,
            starts: 0,
        }
    }

    /// Its name, which is also that of its state directory.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `gateway` or `provider`.
    #[must_use]
    pub fn role(&self) -> &'static str {
        self.role
    }

    /// Lets the next start take free addresses again.
    pub fn forget_addresses(&mut self) {
        self.addresses.clear();
    }

    /// How often it was started.
    #[must_use]
    pub fn starts(&self) -> u32 {
        self.starts
    }

    /// A path in its state directory.
    #[must_use]
    pub fn state(&self, file: &str) -> PathBuf {
        self.place.path(&self.name).join(file)
    }

    /// Its configuration file.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.place.path(&format!("{}.toml", self.name))
    }

    /// Changes the configuration for the next start.
    ///
    /// # Panics
    /// Where `from` is not in it.
    #[track_caller]
    pub fn reconfigure(&mut self, from: &str, to: &str) {
        assert!(self.template.contains(from), "{from} is not configured");
        self.template = self.template.replace(from, to);
    }

    /// Writes the configuration file.
    pub fn write_config(&self) -> PathBuf {
        let mut config = self.template.replace("{state}", &self.name);
        for (placeholder, _, _) in ADDRESSES {
            let free = format!("{}:0", self.place.host());
            let address = self.addresses.get(placeholder).unwrap_or(&free);
            config = config.replace(placeholder, address);
        }
        self.place.write(&format!("{}.toml", self.name), &config)
    }

    /// Starts it and waits until it serves; `false` where it ended before.
    ///
    /// `crash` is what `CRASHPOINT` says.
    pub fn start_with(&mut self, crash: Option<&str>) -> bool {
        let config = self.write_config();
        let mut command = self
            .place
            .command(self.role, &["run", "--config", text(&config)]);
        if let Some(crash) = crash {
            command.env("CRASHPOINT", crash);
        }
        let log = self.place.path(&format!("{}.log", self.name));
        let mut process = Process::start(&self.name, &mut command, &log);
        self.starts += 1;
        let expected = ADDRESSES.iter().filter(|a| self.template.contains(a.0));
        let mut missing = expected.count();
        while missing > 0 {
            let Some(line) = process.line() else {
                break;
            };
            for (placeholder, prefix, suffix) in ADDRESSES {
                let address = line.strip_prefix(prefix);
                if let Some(address) = address.and_then(|a| a.strip_suffix(suffix)) {
                    self.addresses.insert(placeholder, address.to_owned());
                    missing -= 1;
                }
            }
        }
        self.process = Some(process);
        missing == 0
    }

    /// Starts it and waits until it serves.
    ///
    /// # Panics
    /// Where it does not.
    #[track_caller]
    pub fn start(&mut self) {
        assert!(self.start_with(None), "{} does not start", self.name);
    }

    /// Its process.
    ///
    /// # Panics
    /// Before the first start and after [`Server::terminate`].
    #[track_caller]
    pub fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("it was started")
    }

    /// Whether it is to be started: it never was, or SIGKILL ended it.
    ///
    /// # Panics
    /// Where it ended otherwise: a crash that no test asked for.
    #[track_caller]
    pub fn is_down(&mut self) -> bool {
        let Some(process) = &mut self.process else {
            return true;
        };
        match process.ended() {
            None => false,
            Some(status) => {
                let is_asked_for = Process::was_killed(status);
                assert!(is_asked_for, "{} ended with {status}", self.name);
                true
            }
        }
    }

    /// SIGTERM; gives its last lines.
    ///
    /// # Panics
    /// Where it does not end in good order.
    #[track_caller]
    pub fn terminate(&mut self) -> Vec<String> {
        self.process.take().expect("it was started").terminate()
    }

    /// All that it has logged so far.
    #[track_caller]
    pub fn log(&mut self) -> String {
        self.process().log()
    }

    /// Waits for a log line that has all of `words`, and gives it.
    ///
    /// # Panics
    /// Where it does not come.
    #[track_caller]
    pub fn log_line(&mut self, words: &[&str]) -> String {
        let name = self.name.clone();
        until(&format!("log line of {name} with {words:?}"), || {
            let log = self.log();
            let mut lines = log.lines();
            let found = lines.find(|line| words.iter().all(|word| line.contains(word)));
            found.map(str::to_owned)
        })
    }

    /// The address that stands for a placeholder.
    ///
    /// # Panics
    /// Before the first start.
    #[track_caller]
    #[must_use]
    pub fn address(&self, placeholder: &str) -> &str {
        self.addresses
            .get(placeholder)
            .unwrap_or_else(|| panic!("{} has not told {placeholder}", self.name))
    }

    /// Whether there is anything to start.
    #[must_use]
    pub fn is_configured(&self) -> bool {
        !self.template.is_empty()
    }

    /// Where OCPP chargers connect, without their id; `None` before the first start.
    #[must_use]
    pub fn ocpp_url(&self) -> Option<String> {
        let address = self.addresses.get("{ocpp}")?;
        Some(format!("ws://{address}/ocpp"))
    }
}

/// A provider's side.
impl Server {
    /// Runs a command on its configuration and gives what it prints.
    ///
    /// # Panics
    /// Where it fails.
    #[track_caller]
    #[must_use]
    pub fn command(&self, args: &[&str]) -> String {
        let config = self.config();
        let args: Vec<&str> = [args, &["--config", text(&config)]].concat();
        let output = self.place.run(self.role, &args);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {said}");
        String::from_utf8(output.stdout).expect("text")
    }

    /// As [`Server::command`], for JSON.
    ///
    /// # Panics
    /// Where it fails.
    #[track_caller]
    #[must_use]
    pub fn command_json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.command(&[args, &["--json"]].concat())).expect("JSON")
    }

    fn operator(&self) -> Option<(String, String)> {
        let token = std::fs::read_to_string(self.state("operator.token")).ok()?;
        let base = format!("http://{}/v1", self.addresses.get("{operator}")?);
        Some((base, token.trim().to_owned()))
    }

    fn ask_operator(&self, path: &str) -> Option<Value> {
        let (base, token) = self.operator()?;
        let (status, answer) = http::get(&format!("{base}/{path}"), Some(&token))?;
        (status == 200).then_some(answer)
    }

    /// A group's bill; `None` where it does not answer, or knows no such group.
    #[must_use]
    pub fn bill(&self, group: &str) -> Option<Value> {
        self.ask_operator(&format!("bills/{group}"))
    }

    /// Where its chain is; `None` where it does not answer.
    #[must_use]
    pub fn chain(&self) -> Option<Value> {
        self.ask_operator("chain")
    }

    /// An enrolment token; `None` where it does not answer.
    #[must_use]
    pub fn token(&self, group: &str) -> Option<String> {
        let (base, token) = self.operator()?;
        let asked = json!({"groups": [group]});
        let (_, answer) = http::post(&format!("{base}/tokens"), Some(&token), &asked)?;
        answer["token"].as_str().map(str::to_owned)
    }

    /// The provider's operator has it go on though too few gateways have told what they know.
    ///
    /// # Panics
    /// Where it does not answer.
    #[track_caller]
    pub fn seal_without_reports(&self) {
        until("the operator's word", || {
            let (base, token) = self.operator()?;
            let url = format!("{base}/seal-without-reports");
            let (status, _) = http::post(&url, Some(&token), &json!({}))?;
            (status == 200).then_some(())
        });
    }

    /// Waits until a group's bill has that many charges and all are final.
    ///
    /// # Panics
    /// Where that does not happen.
    #[track_caller]
    #[must_use]
    pub fn final_bill(&self, group: &str, charges: usize) -> Value {
        until(&format!("{charges} final charges of {group}"), || {
            let bill = self.bill(group)?;
            let lines = bill["lines"].as_array()?;
            let is_final = lines.iter().all(|line| line["finality"] == "final");
            (lines.len() == charges && is_final).then_some(bill)
        })
    }
}

/// A gateway's side.
impl Server {
    /// What the local API tells; `None` where it does not answer.
    #[must_use]
    pub fn status(&self) -> Option<Value> {
        let url = format!("http://{}/v1/status", self.addresses.get("{api}")?);
        http::get(&url, None).map(|(_, status)| status)
    }

    /// Presents an idTag at a charger without OCPP; `None` where nobody answers.
    #[must_use]
    pub fn swipe(&self, charger: &str, id_tag: &str) -> Option<Answer> {
        let address = self.addresses.get("{api}")?;
        let url = format!("http://{address}/v1/chargers/{charger}/swipe");
        http::post(&url, None, &json!({"idTag": id_tag}))
    }

    /// Limits the current of the charge at an outlet; `None` where nobody answers.
    #[must_use]
    pub fn limit_current(&self, outlet: &str, limit_ma: u32) -> Option<Answer> {
        let address = self.addresses.get("{api}")?;
        let url = format!("http://{address}/v1/outlets/{outlet}/current-limit");
        http::post(&url, None, &json!({"currentLimitMa": limit_ma}))
    }

    /// Releases a held charge; `None` where nobody answers.
    #[must_use]
    pub fn release(&self, number: u64) -> Option<Answer> {
        let address = self.addresses.get("{api}")?;
        let url = format!("http://{address}/v1/outbox/{number}/release");
        http::post(&url, None, &json!({}))
    }

    /// Waits until a meter shows that much.
    ///
    /// # Panics
    /// Where that does not happen.
    #[track_caller]
    pub fn wait_for_register(&self, meter: &str, register_wh: u64) {
        until(&format!("{meter} at {register_wh} Wh"), || {
            let status = self.status()?;
            (status["meters"][meter]["registerWh"] == register_wh).then_some(())
        });
    }
}
