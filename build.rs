//! What the compiler does not do by itself: packs the web app's files, and keeps the program small.

use std::env;
use std::error::Error;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use flate2::Compression;
use flate2::write::GzEncoder;

/// The web app.
const APP: &str = "static";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={APP}");
    let into = PathBuf::from(env::var("OUT_DIR")?).join(APP);
    if into.exists() {
        fs::remove_dir_all(&into)?;
    }
    pack(Path::new(APP), &into)?;
    if loader_knows_packed_relocations() {
        // Over a megabyte less of them.
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
    Ok(())
}

/// Packs all that shrinks, as `NAME.gz`; pictures are packed already.
fn pack(from: &Path, into: &Path) -> io::Result<()> {
    fs::create_dir_all(into)?;
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        let Some(name) = path.file_name() else { continue };
        let target = into.join(name);
        if path.is_dir() {
            pack(&path, &target)?;
        } else if path.extension().is_some_and(|extension| extension == "png") {
            fs::copy(&path, target)?;
        } else {
            let mut target = target.into_os_string();
            target.push(".gz");
            let mut packed = GzEncoder::new(File::create(target)?, Compression::best());
            packed.write_all(&fs::read(&path)?)?;
            packed.finish()?;
        }
    }
    Ok(())
}

/// glibc does from version 2.36 on. A program is for that of the machine that it was built on, or a newer one.
fn loader_knows_packed_relocations() -> bool {
    let is = |name: &str, wanted: &str| env::var(name).is_ok_and(|value| value == wanted);
    let here = env::var("HOST").is_ok_and(|host| is("TARGET", &host));
    if !here || !is("CARGO_CFG_TARGET_OS", "linux") || !is("CARGO_CFG_TARGET_ENV", "gnu") {
        return false;
    }
    let Ok(told) = Command::new("getconf").arg("GNU_LIBC_VERSION").output() else { return false };
    let told = String::from_utf8_lossy(&told.stdout);
    let mut version = told.trim().trim_start_matches("glibc ").split('.').map(str::parse::<u32>);
    matches!((version.next(), version.next()), (Some(Ok(major)), Some(Ok(minor))) if (major, minor) >= (2, 36))
}
