//! known_hosts: a key is trusted only for a line that says so, and never against one that takes trust away.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tidegate::git::KnownHost;

use crate::run::{Target, fuzz, no_reshape};

const HOST: &str = "git.example.com";
/// The key that the corpus knows for the host, and one that it does not know.
const KEY: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl";
const OTHER: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIJxvZ3d0aGlzaXNub3RhcmVhbGtleWF0YWxsb2s0";

#[test]
fn host_keys_are_trusted_only_where_a_line_says_so() {
    fuzz(&Target {
        name: "known_hosts",
        words: &[
            "git.example.com ",
            "[git.example.com]:22 ",
            "[git.example.com]:2222 ",
            "*.example.com ",
            "!git.example.com,",
            "* ",
            "?it.example.com ",
            "@revoked ",
            "@cert-authority ",
            "@other ",
            "ssh-ed25519 ",
            "ssh-rsa ",
            "|1|",
            "|1||",
            "|1|AAAA|AAAA ",
            "# ",
            ",",
            "\r\n",
            "\t",
            "AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl",
            "************",
            "GIT.EXAMPLE.COM ",
        ],
        reshape: no_reshape,
        check,
    });
}

fn check(input: &[u8]) -> String {
    let text = String::from_utf8_lossy(input);
    let (key, other) = (STANDARD.decode(KEY).unwrap(), STANDARD.decode(OTHER).unwrap());
    let mut way = String::new();
    for port in [22, 2222] {
        let known = KnownHost::of(&text, HOST, port);
        let trusted = known.check(&key).is_ok();
        assert!(known.check(&other).is_err(), "a key that stands nowhere is trusted");
        let lines = known.lines(HOST, port);
        assert_eq!(KnownHost::of(&lines, HOST, port).check(&key).is_ok(), trusted, "{lines}");
        if trusted {
            // Only lines with this key can be why, and none of them with a mark.
            let without: String = text
                .lines()
                .filter(|line| line.starts_with('@') || !line.contains(KEY))
                .map(|line| format!("{line}\n"))
                .collect();
            assert!(KnownHost::of(&without, HOST, port).check(&key).is_err(), "trusted without a line");
            let revoked = format!("{text}\n@revoked * ssh-ed25519 {KEY}\n");
            assert!(KnownHost::of(&revoked, HOST, port).check(&key).is_err(), "trusted although revoked");
        }
        let words = known.check(&key).err().map(|fault| fault.to_string()).unwrap_or_default();
        assert!(words.len() <= 1_024 + 2 * input.len());
        way.push_str(&format!("{port} {trusted} {} ", words.chars().take(24).collect::<String>()));
    }
    way
}
