//! The demo where there is little: no terminal, no rights, no free default port, no colours.

use std::fs::{self, Permissions};
use std::io::Read as _;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::pty::openpty;
use nix::unistd::Uid;
use tests::Place;

use crate::{PROGRAM, demo};

/// `nobody`, on every Linux.
const NOBODY: u32 = 65_534;

/// Takes the ports that gateway and provider have by default, where nobody has them.
fn default_ports() -> Vec<TcpListener> {
    let bind = |port| TcpListener::bind(("127.0.0.1", port)).ok();
    [7_410, 9_000, 9_650, 9_651]
        .into_iter()
        .filter_map(bind)
        .collect()
}

fn open_to_all(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("it is ours");
}

#[test]
fn an_ordinary_user_without_a_terminal_and_without_the_default_ports_sees_it_all() {
    let _taken = default_ports();
    let place = Place::new(PROGRAM);
    // Where everyone may look, unlike below a checkout.
    let directory = tempfile::tempdir().expect("a temporary directory");
    open_to_all(directory.path(), 0o755);
    let program = directory.path().join("demo");
    fs::copy(place.sibling("demo"), &program).expect("the program can be copied");
    let temporary = directory.path().join("temporary");
    fs::create_dir(&temporary).expect("it is ours");
    open_to_all(&temporary, 0o1777);

    let mut command = Command::new(&program);
    command
        .args(["--fast", "--plain"])
        .env_clear()
        .env("TMPDIR", &temporary)
        .current_dir("/")
        .stdin(Stdio::null());
    if Uid::effective().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    let output = command.output().expect("it starts");
    let said = String::from_utf8(output.stdout).expect("text");
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{complaints}");
    assert!(said.contains("all of them true"), "{said}");
    assert!(!said.contains('\x1b'), "{said}");
    assert!(
        said.lines().all(|line| line.chars().count() <= 80),
        "{said}"
    );
    assert_eq!(complaints, "");
    assert_eq!(fs::read_dir(&temporary).expect("it is there").count(), 0);
}

#[test]
fn a_terminal_gets_a_panel_and_no_colours_where_none_are_wanted() {
    let place = Place::new(PROGRAM);
    let pty = openpty(None, None).expect("the system has terminals");
    let mut command = demo(&place, &["--fast"]);
    command
        .env("TERM", "xterm-256color")
        .env("NO_COLOR", "1")
        .stdout(pty.slave);
    let mut child = command.spawn().expect("it starts");
    // The parent's copy of the terminal's end would keep it open for ever.
    drop(command);
    let mut shown = Vec::new();
    // Linux ends a terminal whose last user is gone with an error.
    let _ = fs::File::from(pty.master).read_to_end(&mut shown);
    let status = child.wait().expect("it is our child");
    let shown = String::from_utf8_lossy(&shown);
    assert!(status.success(), "{shown}");
    assert!(
        shown.contains("act 1 of") || shown.contains("act 2 of"),
        "{shown}"
    );
    assert!(
        shown.contains("\x1b[?2026h"),
        "the panel is drawn in one piece"
    );
    let has_colours = shown.split("\x1b[").any(|sequence| {
        let end = sequence.find(|c: char| c.is_ascii_alphabetic());
        end.is_some_and(|end| sequence[end..].starts_with('m') && !sequence.starts_with('?'))
    });
    assert!(!has_colours, "{shown}");
}
