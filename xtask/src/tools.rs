//! Tools that a machine may lack, and what they need to have installed.

use std::io::stderr;
use std::path::{Path, PathBuf};

use crate::run::{command, exists, forget_package, root, succeeds, target};

/// Versions that the scripts were tried with.
const PYTHON_PACKAGES: &[&str] = &["boto3==1.44.5", "aws-kinesis-agg==1.2.3", "six==1.17.0"];
const BINDINGS_PACKAGES: &[&str] = &[
    "aws-kinesis-agg==1.2.3",
    "boto3==1.44.5",
    "fastapi==0.165.0",
    "httpx2==2.16.2",
    "maturin==1.16.0",
    "mypy==2.4.1",
    "pyright==1.1.414",
    "pytest==9.2.0",
    "six==1.17.0",
    // It has no wheel for Windows.
    "uvloop==0.23.0; sys_platform != 'win32'",
];
const NODE_PACKAGES: &[&str] = &["@aws-sdk/client-kinesis@3.1143.0", "@smithy/node-http-handler@4.14.2"];

/// A Python with the packages that the scripts need, in a virtual environment below `target`.
pub(crate) fn python() -> Result<PathBuf, String> {
    environment("python", 10, PYTHON_PACKAGES)
}

/// A Python with our own package, built and installed as its users do, and with what its tests need.
pub(crate) fn python_bindings() -> Result<PathBuf, String> {
    let python = environment("bindings-python", 11, BINDINGS_PACKAGES)?;
    let wheels = target().join("tools").join("wheels");
    // The wheel of another version would be found too.
    if wheels.exists() && std::fs::remove_dir_all(&wheels).is_err() {
        return Err(format!("cannot empty {}", wheels.display()));
    }
    let name = python.to_string_lossy();
    // The profile of all other tests: an optimised build takes many times as long.
    let mut maturin =
        command(&[&*name, "-m", "maturin", "build", "--profile", "dev", "--interpreter", &*name]);
    maturin.args(["--manifest-path", "bindings-python/Cargo.toml", "--out"]).arg(&wheels);
    forget_package(&mut maturin);
    let install =
        ["-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--force-reinstall", "shardflow"];
    let mut pip = command(&[&*name]);
    pip.args(install).arg("--find-links").arg(&wheels);
    if succeeds(&mut maturin) && succeeds(&mut pip) {
        Ok(python)
    } else {
        Err("the wheel cannot be built or installed".to_owned())
    }
}

/// A Python 3 of that minor version or newer, in a virtual environment below `target` with some packages.
fn environment(name: &str, minor: u32, packages: &[&str]) -> Result<PathBuf, String> {
    let home = target().join("tools").join(name);
    let python = home.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" });
    if !python.exists() {
        let new_enough = format!("import sys, venv; sys.exit(sys.version_info < (3, {minor}))");
        let found = ["python3", "python"].into_iter().find(|name| exists(&[name, "-c", &new_enough]));
        let found = found.ok_or_else(|| format!("needs Python 3.{minor} or newer, with venv"))?;
        if !succeeds(command(&[found, "-m", "venv"]).arg(&home)) {
            return Err("python3 -m venv fails".to_owned());
        }
    }
    let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    if !succeeds(command(&[&*python.to_string_lossy()]).args(install).args(packages)) {
        return Err(format!("pip cannot install {}", packages.join(", ")));
    }
    Ok(python)
}

/// The script for Node.js, in a folder below `target` with the packages that it needs.
pub(crate) fn node() -> Result<PathBuf, String> {
    let old_enough = "process.exit(parseInt(process.versions.node) >= 20 ? 0 : 1)";
    if !exists(&["node", "-e", old_enough]) || !exists(&["npm", "--version"]) {
        return Err("needs Node.js 20 or newer, with npm".to_owned());
    }
    let home = target().join("tools").join("node");
    // Node.js looks for packages from where a script is.
    let script = home.join("test_local.mjs");
    let made = std::fs::create_dir_all(&home)
        .and_then(|()| std::fs::copy(root().join("tests/node/test_local.mjs"), &script));
    if let Err(error) = made {
        return Err(format!("cannot write {}: {error}", script.display()));
    }
    let install = ["npm", "install", "--no-audit", "--no-fund", "--loglevel=error", "--prefix"];
    if !succeeds(command(&install).arg(&home).args(NODE_PACKAGES)) {
        return Err("npm cannot install @aws-sdk/client-kinesis".to_owned());
    }
    Ok(script)
}

/// Another target for the compiler.
pub(crate) fn rust_target(name: &str) -> Result<(), String> {
    // A compiler that did not come by rustup may have it nevertheless.
    if has_target(name) {
        return Ok(());
    }
    if !exists(&["rustup", "--version"]) {
        return Err(format!("needs the compiler's target {name}, or rustup to add it"));
    }
    if !succeeds(&mut command(&["rustup", "target", "add", name])) {
        return Err(format!("rustup cannot add the target {name}"));
    }
    Ok(())
}

/// Whether the compiler's standard library is there for a target.
fn has_target(name: &str) -> bool {
    let printed = command(&["rustc", "--print", "target-libdir", "--target", name]).output();
    printed.is_ok_and(|printed| Path::new(String::from_utf8_lossy(&printed.stdout).trim()).is_dir())
}

/// The checker of `deny.toml`.
pub(crate) fn cargo_deny() -> Result<(), String> {
    let there = exists(&["cargo", "deny", "--version"]);
    there.then_some(()).ok_or_else(|| "needs cargo-deny: cargo install --locked cargo-deny".to_owned())
}

/// The program that uses the KCL for Java, in a folder below `target` with its libraries.
pub(crate) fn kcl() -> Result<PathBuf, String> {
    if !exists(&["java", "-version"]) || !exists(&["mvn", "--version"]) {
        return Err("needs Java 17 or newer, and Maven".to_owned());
    }
    let home = target().join("tools").join("kcl");
    let mut maven = command(&["mvn", "--quiet", "--batch-mode", "--file", "tests/java", "package"]);
    maven.arg(format!("-Dtests.target={}", home.display()));
    if succeeds(&mut maven) { Ok(home) } else { Err("Maven cannot build tests/java".to_owned()) }
}

/// The driver of the KPL for Java with its libraries, built below a folder.
pub(crate) fn kpl(folder: &Path) -> Result<PathBuf, String> {
    peer(folder, "kpl")
}

/// The worker of the KCL for Java with its libraries, built below a folder.
pub(crate) fn kcl_worker(folder: &Path) -> Result<PathBuf, String> {
    peer(folder, "kcl")
}

/// What Shardflow is measured beside.
fn peer(folder: &Path, name: &str) -> Result<PathBuf, String> {
    if !cfg!(target_os = "linux") {
        return Err("what it uses is read from Linux's /proc".to_owned());
    }
    if !exists(&["java", "-version"]) || !exists(&["mvn", "--version"]) {
        return Err("needs Java 17 or newer, and Maven".to_owned());
    }
    let (home, project) = (folder.join(name), format!("benches/{name}"));
    let mut maven = command(&["mvn", "--quiet", "--batch-mode", "--file", &project, "package"]);
    maven.arg(format!("-Dbench.target={}", home.display()));
    // Standard output is for results.
    if succeeds(maven.stdout(stderr())) { Ok(home) } else { Err(format!("Maven cannot build {project}")) }
}

#[cfg(test)]
mod tests {
    use super::has_target;

    #[test]
    fn a_target_that_is_not_installed_is_missing() {
        assert!(!has_target("no-such-target"));
        // The compiler knows it, and nobody has it.
        assert!(!has_target("avr-none"));
    }
}
