//! Has what browsers load built from `web/` by npm and Vite, and lists it for `src/asset.rs`.
//!
//! Packages are installed once a lock file; Vite runs when a source has changed. Where
//! `BASALT_WEB_DIST` names a directory that `npm run build` filled elsewhere, that is taken and no
//! Node.js is needed.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use sha2::{Digest, Sha256};

/// What Vite reads.
const SOURCES: &[&str] = &[
    ".npmrc",
    "islands",
    "package-lock.json",
    "package.json",
    "tsconfig.json",
    "vite.config.ts",
];

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the pages' scripts could not be built: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let web = PathBuf::from(variable("CARGO_MANIFEST_DIR")?).join("../../web");
    let out = PathBuf::from(variable("OUT_DIR")?);
    println!("cargo::rerun-if-env-changed=BASALT_WEB_DIST");
    println!("cargo::rerun-if-changed=build.rs");
    for source in SOURCES {
        println!("cargo::rerun-if-changed={}", web.join(source).display());
    }
    let dist = match std::env::var_os("BASALT_WEB_DIST") {
        Some(elsewhere) => {
            let elsewhere = PathBuf::from(elsewhere);
            println!("cargo::rerun-if-changed={}", elsewhere.display());
            elsewhere
        }
        None => {
            let dist = out.join("dist");
            install(&web)?;
            let vite = web.join("node_modules/vite/bin/vite.js");
            let mut command = Command::new("node");
            command.arg(vite).args(["build", "--logLevel", "warn"]);
            command.current_dir(&web).env("BASALT_WEB_OUT", &dist);
            finish(&mut command, "node")?;
            dist
        }
    };
    let table = table(&dist)?;
    fs::write(out.join("assets.rs"), table).map_err(|error| format!("assets.rs: {error}"))
}

fn variable(name: &str) -> Result<String, String> {
    std::env::var(name).map_err(|error| format!("{name}: {error}"))
}

/// Runs `npm ci` unless it ran for this lock file already. Builds of several profiles share the
/// directory, so one at a time.
fn install(web: &Path) -> Result<(), String> {
    let said = |what: &str, error: io::Error| format!("{what}: {error}");
    let lock =
        File::create(web.join(".install-lock")).map_err(|error| said(".install-lock", error))?;
    lock.lock().map_err(|error| said(".install-lock", error))?;
    let mut wanted = fs::read(web.join("package-lock.json"))
        .map_err(|error| said("package-lock.json", error))?;
    wanted.extend(fs::read(web.join("package.json")).map_err(|error| said("package.json", error))?);
    let wanted = hex(&wanted);
    let stamp = web.join("node_modules/.basalt-lock");
    if fs::read_to_string(&stamp).is_ok_and(|found| found == wanted) {
        return Ok(());
    }
    finish(Command::new("npm").arg("ci").current_dir(web), "npm")?;
    fs::write(&stamp, wanted).map_err(|error| said(".basalt-lock", error))
}

fn finish(command: &mut Command, program: &str) -> Result<(), String> {
    let output = match command.output() {
        Ok(output) => output,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(format!(
                "{program} is missing. Install Node.js 18.19 or later with npm (Debian: apt-get \
                 install nodejs npm), or set BASALT_WEB_DIST to a directory in which `npm run build` \
                 put them elsewhere"
            ));
        }
        Err(error) => return Err(format!("{program}: {error}")),
    };
    if output.status.success() {
        return Ok(());
    }
    Err(format!(
        "{program} ended with {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    ))
}

/// The files as Rust: name, content type, tag, whether the name holds a hash, bytes.
fn table(dist: &Path) -> Result<String, String> {
    let dist = dist
        .canonicalize()
        .map_err(|error| format!("{}: {error}", dist.display()))?;
    let manifest = fs::read_to_string(dist.join("manifest.json"))
        .map_err(|error| format!("manifest.json: {error}"))?;
    let script = built(&manifest, "main.ts")?;
    let style = built(&manifest, "basalt.css")?;
    let mut files = BTreeMap::new();
    collect(&dist, &dist, &mut files)?;
    let mut table = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(table, "/// The address of the style sheet.");
    let _ = writeln!(
        table,
        "pub const STYLE: &str = {:?};",
        format!("/assets/{style}")
    );
    let _ = writeln!(table, "/// The address of the script of every page.");
    let _ = writeln!(
        table,
        "pub const SCRIPT: &str = {:?};",
        format!("/assets/{script}")
    );
    let _ = writeln!(table, "static FILES: &[Asset] = &[");
    for (name, path) in files {
        if name == "manifest.json" {
            continue;
        }
        let bytes = fs::read(&path).map_err(|error| format!("{name}: {error}"))?;
        // Only what Vite built is named after its content.
        let hashed = manifest.contains(&format!("\"{name}\""));
        let _ = writeln!(
            table,
            "    Asset {{ name: {name:?}, content_type: {:?}, etag: {:?}, is_immutable: {hashed}, bytes: include_bytes!({:?}) }},",
            content_type(&name)?,
            format!("\"{}\"", &hex(&bytes)[..32]),
            path,
        );
    }
    table.push_str("];\n");
    Ok(table)
}

/// The file that was built from a source, by Vite's manifest:
/// `"main.ts": { "file": "main-HASH.js", …`.
fn built(manifest: &str, source: &str) -> Result<String, String> {
    let entry = manifest
        .split_once(&format!("\"{source}\": {{"))
        .and_then(|(_, rest)| rest.split_once("\"file\": \""))
        .and_then(|(_, rest)| rest.split_once('"'));
    match entry {
        Some((file, _)) => Ok(file.to_owned()),
        None => Err(format!("the manifest does not name {source}")),
    }
}

fn collect(
    root: &Path,
    directory: &Path,
    files: &mut BTreeMap<String, PathBuf>,
) -> Result<(), String> {
    let said = |error: io::Error| format!("{}: {error}", directory.display());
    for entry in fs::read_dir(directory).map_err(said)? {
        let path = entry.map_err(said)?.path();
        if path.is_dir() {
            collect(root, &path, files)?;
        } else if let Some(name) = path.strip_prefix(root).ok().and_then(Path::to_str) {
            files.insert(name.to_owned(), path.clone());
        }
    }
    Ok(())
}

fn content_type(name: &str) -> Result<&'static str, String> {
    match name.rsplit('.').next() {
        Some("js") => Ok("text/javascript; charset=utf-8"),
        Some("css") => Ok("text/css; charset=utf-8"),
        Some("svg") => Ok("image/svg+xml"),
        _ => Err(format!("{name} is of no known type")),
    }
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
