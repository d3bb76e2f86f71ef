//! The image, as far as it can be known without an engine that builds it: its recipe, and its files around the program.

use std::path::Path;
use std::process::Command;

use crate::controlplane::ControlPlane;
use crate::deploy;
use crate::tools::printed;

/// The instructions of the Dockerfile with their arguments, by stage.
fn stages() -> Vec<Vec<(String, String)>> {
    let text = std::fs::read_to_string(deploy().join("Dockerfile")).unwrap();
    let mut stages: Vec<Vec<(String, String)>> = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (instruction, rest) = line.split_once(' ').unwrap();
        if instruction == "FROM" {
            stages.push(Vec::new());
        }
        stages.last_mut().unwrap().push((instruction.to_owned(), rest.to_owned()));
    }
    stages
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_image_has_a_pinned_base_one_user_and_nothing_else() {
    let stages = stages();
    let [build, last] = stages.as_slice() else { panic!("{stages:?}") };
    let toolchain = std::fs::read_to_string(root().join("rust-toolchain.toml")).unwrap();
    let channel = toolchain.split('"').nth(1).unwrap();
    let tag = build[0].1.strip_prefix("rust:").and_then(|rest| rest.split('-').next()).unwrap();
    assert!(channel.starts_with(tag) && tag.contains('.'), "{tag} is not {channel} of rust-toolchain.toml");
    let instructions: Vec<&str> = last.iter().map(|(instruction, _)| instruction.as_str()).collect();
    assert_eq!(instructions, ["FROM", "COPY", "USER", "ENV", "ENTRYPOINT"]);
    assert_eq!((last[0].1.as_str(), last[2].1.as_str()), ("scratch", "65532:65532"));
    // Secrets come as files at run time, never into a layer.
    for (instruction, rest) in stages.iter().flatten() {
        let named = ["TOKEN", "PASSWORD", "SECRET", "PRIVATE"].iter().any(|word| rest.to_uppercase().contains(word));
        assert!(!["ARG", "ADD"].contains(&instruction.as_str()) && !named, "{instruction} {rest}");
    }
}

#[test]
fn what_is_copied_is_all_that_cargo_needs() {
    let folder = tempfile::tempdir().unwrap();
    for (_, rest) in stages()[0].iter().filter(|(instruction, _)| instruction == "COPY") {
        let mut paths: Vec<&str> = rest.split(' ').collect();
        let to = folder.path().join(paths.pop().unwrap());
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        for from in paths {
            printed(Command::new("cp").arg("-r").arg(root().join(from)).arg(&to));
        }
    }
    assert!(folder.path().join("deploy/collect.sh").is_file());
    let mut cargo = Command::new(env!("CARGO"));
    printed(
        cargo.args(["metadata", "--offline", "--locked", "--no-deps", "--format-version=1"]).current_dir(folder.path()),
    );
}

/// The folder that becomes the image is enough for the program to reach an API server over TLS, as the user of the image.
#[test]
fn the_program_runs_with_the_files_of_the_image_alone() {
    let home = tempfile::tempdir().unwrap();
    let image = home.path().join("image");
    let binary = env!("CARGO_BIN_EXE_tidegate");
    printed(Command::new(deploy().join("collect.sh")).arg(binary).arg(&image));
    for shell in ["bin/sh", "usr/bin/sh"] {
        assert!(!image.join(shell).exists(), "{shell}");
    }
    std::fs::write(image.join("kubeconfig"), ControlPlane::shared().kubeconfig_text()).unwrap();
    // Whoever may not change the root becomes one who may, in a namespace of its own.
    let is_root = printed(Command::new("id").arg("-u")).trim() == "0";
    let mut command = Command::new(if is_root { "chroot" } else { "unshare" });
    command.args(if is_root { ["--userspec", "65532:65532"] } else { ["--map-root-user", "chroot"] });
    command.arg(&image).args(["/usr/bin/tidegate", "status", "--kubeconfig", "/kubeconfig"]);
    printed(&mut command);
}
