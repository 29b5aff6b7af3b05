//! The maps there are: those compiled in, and those of a user's folder.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use super::{MapError, RegisterMap};

/// The largest file that is read; the longest map compiled in has a twentieth of it.
const MAX_FILE_LENGTH: u64 = 64 * 1024;
/// The most maps that are read from a folder.
const MAX_FILES: usize = 256;

/// Names the maps compiled in, each with its text.
macro_rules! files {
    ($($id:literal)*) => {
        &[$((concat!($id, ".toml"), include_str!(concat!("../../models/", $id, ".toml")))),*]
    };
}

/// The maps compiled in: file name and text.
const FILES: &[(&str, &str)] = files! {
    "abb-a43-a44"
    "abb-b21"
    "abb-b23-b24"
    "acrel-adw300"
    "acrel-djsf1352-rn"
    "bauer-bsm-ws36a"
    "bcontrol-em300"
    "be-mpm3pm"
    "bgetech-ds100"
    "bgetech-ws100"
    "carlo-gavazzi-em112-family"
    "carlo-gavazzi-em24-e1"
    "carlo-gavazzi-em24-rtu"
    "carlo-gavazzi-em340-family"
    "carlo-gavazzi-em530-em540"
    "carlo-gavazzi-em580"
    "chint-dtsu666"
    "eastron-sdm120"
    "eastron-sdm220"
    "eastron-sdm230"
    "eastron-sdm54"
    "eastron-sdm630"
    "eastron-sdm72d-m-v2"
    "eastron-sdm72d-m"
    "eastron-smart-x96-1a"
    "finder-7e78"
    "finder-7m24"
    "finder-7m38"
    "inepro-pro1-pro2-grow"
    "inepro-pro380"
    "iskra-wm3m4"
    "janitza-umg104-umg604"
    "janitza-umg511-umg512"
    "janitza-umg96-103-b-series"
    "klefr-693x-694x"
    "orno-we516-517"
    "phoenix-contact-eem"
    "pqplus-umd97"
    "saia-burgess-ale3-awd3"
    "schneider-iem3000"
    "schneider-pm5000"
    "siemens-pac1600-7kt166x"
    "siemens-pac2200-pac3200"
    "siemens-sicam-t-7kg966"
    "wago-879-30xx"
    "weidmueller-em110-em111"
    "weidmueller-em120-em122"
    "weidmueller-em525-em750"
};

static BUILTIN: LazyLock<RegisterMaps> = LazyLock::new(|| {
    let parsed = FILES.iter().map(|(file, text)| {
        let map = RegisterMap::parse(file, text).expect("a test parses every file compiled in");
        (map.id.clone(), Arc::new(map))
    });
    RegisterMaps(parsed.collect())
});

/// Register maps by id.
#[derive(Clone, Debug)]
pub struct RegisterMaps(BTreeMap<String, Arc<RegisterMap>>);

impl RegisterMaps {
    /// The maps compiled in.
    #[must_use]
    pub fn builtin() -> &'static Self {
        &BUILTIN
    }

    /// The maps compiled in and those of `folder`: every file there whose name ends in `.toml`.
    ///
    /// A map's id is its file's name without `.toml`, so no two in a folder share one. One that
    /// carries the id of a map compiled in says so itself (`replaces_builtin`), so that nobody bills
    /// by another register without knowing it.
    ///
    /// # Errors
    /// [`MapError`] for the first file, by name, that is no map; 256 files of 64 KiB are the most.
    pub fn load(folder: &Path) -> Result<Self, MapError> {
        let mut maps = Self::builtin().clone();
        for path in files(folder)? {
            let file = path.display().to_string();
            let map = RegisterMap::parse(&file, &read(&path)?)?;
            maps.check_id(&file, &path, &map)?;
            maps.0.insert(map.id.clone(), Arc::new(map));
        }
        Ok(maps)
    }

    /// The map with this id.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<Arc<RegisterMap>> {
        self.0.get(id).cloned()
    }

    /// All ids, sorted.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// All maps, sorted by id.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<RegisterMap>> {
        self.0.values()
    }

    fn check_id(&self, file: &str, path: &Path, map: &RegisterMap) -> Result<(), MapError> {
        let refuse = |key: &str, accepted: String| MapError::Value {
            file: file.to_owned(),
            key: key.to_owned(),
            accepted,
        };
        let stem = path.file_stem().map(|stem| stem.to_string_lossy());
        if stem.as_deref() != Some(map.id()) {
            let accepted = "the name of the file without .toml".to_owned();
            return Err(refuse("id", accepted));
        }
        let is_builtin = Self::builtin().0.contains_key(map.id());
        let replaces = "replaces_builtin";
        match (is_builtin, map.replaces_builtin) {
            (true, false) => Err(refuse(
                replaces,
                format!("true to read {} by this file; or choose another id", map.id),
            )),
            (false, true) => Err(refuse(
                replaces,
                format!("left out: no map that is compiled in is called {}", map.id),
            )),
            _ => Ok(()),
        }
    }
}

/// The maps in `folder`, sorted, so that every start meets the same error first.
fn files(folder: &Path) -> Result<Vec<PathBuf>, MapError> {
    let unreadable = |source| MapError::Unreadable {
        path: folder.to_owned(),
        source,
    };
    let mut paths = Vec::new();
    for entry in folder.read_dir().map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "toml")
        {
            paths.push(path);
        }
        if paths.len() > MAX_FILES {
            return Err(MapError::TooMany {
                folder: folder.to_owned(),
                most: MAX_FILES,
            });
        }
    }
    paths.sort();
    Ok(paths)
}

fn read(path: &Path) -> Result<String, MapError> {
    let text = read_start(path).map_err(|source| MapError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    if u64::try_from(text.len()).is_ok_and(|length| length <= MAX_FILE_LENGTH) {
        return Ok(text);
    }
    Err(MapError::Value {
        file: path.display().to_string(),
        key: "the file".to_owned(),
        accepted: format!("at most {MAX_FILE_LENGTH} bytes"),
    })
}

/// One byte more than is accepted tells that there are more.
fn read_start(path: &Path) -> io::Result<String> {
    // A pipe would be waited for.
    if !path.metadata()?.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    let mut text = String::new();
    File::open(path)?
        .take(MAX_FILE_LENGTH + 1)
        .read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAP: &str = r#"
id = "acme-1"
vendor = "Acme"
model = "1"
sources = ["its display"]
space = "holding"
word_order = "msw_first"
[measurands]
energy_import = { address = 0, type = "u32", unit = "kWh", scale = "0.01" }
"#;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for (file, text) in files {
            std::fs::write(folder.path().join(file), text).expect("a file in it");
        }
        folder
    }

    /// The key that the refusal of a folder names.
    #[track_caller]
    fn check(files: &[(&str, &str)], expected: &str) {
        let folder = folder(files);
        match RegisterMaps::load(folder.path()).expect_err("refused") {
            MapError::Value { file, key, .. } => {
                assert_eq!(key, expected);
                assert!(file.ends_with(files[0].0), "{file}");
            }
            MapError::Syntax { problem, .. } => assert!(problem.contains(expected), "{problem}"),
            MapError::Unreadable { source, .. } => assert_eq!(source.kind().to_string(), expected),
            MapError::TooMany { .. } => assert_eq!(expected, "too many"),
        }
    }

    #[test]
    fn every_map_compiled_in_is_called_as_its_file() {
        for (file, text) in FILES {
            let map = RegisterMap::parse(file, text).expect("a valid map");
            assert_eq!(format!("{}.toml", map.id()), *file);
            assert!(!map.replaces_builtin);
            assert_eq!(
                RegisterMap::builtin(map.id()).expect("there").id(),
                map.id()
            );
        }
        assert!(RegisterMap::builtin("unheard-of").is_none());
    }

    #[test]
    fn every_file_of_a_model_is_compiled_in() {
        let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
        let names = files(&models).expect("a readable folder");
        let names: Vec<_> = names
            .iter()
            .map(|path| path.file_name().expect("a file").to_string_lossy())
            .collect();
        let compiled_in: Vec<_> = FILES.iter().map(|(file, _)| *file).collect();
        assert_eq!(names, compiled_in);
    }

    #[test]
    fn a_file_in_the_folder_is_a_model_more() {
        let folder = folder(&[("acme-1.toml", MAP), ("notes.txt", "no map")]);
        let maps = RegisterMaps::load(folder.path()).expect("valid maps");
        assert_eq!(maps.get("acme-1").expect("loaded").vendor(), "Acme");
        assert!(maps.get("eastron-sdm630").is_some());
        assert_eq!(maps.iter().count(), FILES.len() + 1);
    }

    #[test]
    fn a_builtin_is_replaced_only_knowingly() {
        let same_id = MAP.replace("acme-1", "eastron-sdm630");
        check(&[("eastron-sdm630.toml", &same_id)], "replaces_builtin");
        let replacing = format!("replaces_builtin = true{same_id}");
        let folder = folder(&[("eastron-sdm630.toml", &replacing)]);
        let maps = RegisterMaps::load(folder.path()).expect("valid maps");
        assert_eq!(
            maps.get("eastron-sdm630").expect("replaced").vendor(),
            "Acme"
        );
        let nothing_to_replace = format!("replaces_builtin = true{MAP}");
        check(&[("acme-1.toml", &nothing_to_replace)], "replaces_builtin");
    }

    #[test]
    fn a_folder_is_refused_by_its_first_bad_file() {
        check(&[("acme-2.toml", MAP)], "id");
        check(&[("acme-1.toml", "id = 5")], "expected a string");
        check(&[("acme-1.toml", "\u{0}")], "key with no value");
        let long = "#".repeat(64 * 1024 + 1);
        check(&[("acme-1.toml", &long)], "the file");
        let missing = RegisterMaps::load(Path::new("/nowhere at all"));
        assert!(matches!(missing, Err(MapError::Unreadable { .. })));
        let many: Vec<_> = (0..=MAX_FILES).map(|n| format!("{n}.toml")).collect();
        let many: Vec<_> = many.iter().map(|name| (name.as_str(), MAP)).collect();
        check(&many, "too many");
    }
}
