//! Reads the one document of a file that is no plan file by a table of fields, as strictly as plans are read.

use super::{
    Finding, codes,
    fields::{API_VERSION, Field, Shape},
    file,
    node::Node,
    read::{check, place},
    report::Report,
    yaml,
};

/// What `read` makes of the only document of a file, or everything that is wrong with it.
///
/// # Errors
/// The findings, in the order of their places, where any of them is an error.
pub(crate) fn strict<T>(
    path: &str,
    bytes: &[u8],
    kind: &str,
    fields: &'static [Field],
    read: impl FnOnce(&Node, &mut Report<'_>) -> Option<T>,
) -> Result<T, Vec<Finding>> {
    let mut report = Report::new(path);
    let node = only(bytes, kind, &mut report);
    let read = node.and_then(|node| {
        for (field, meant) in [("apiVersion", API_VERSION), ("kind", kind)] {
            if let Some(found) = node.get(field).and_then(Node::text).filter(|found| *found != meant) {
                let message = format!("`{field}` is `{}`", found.escape_debug());
                // No line of it is shown: a file that is something else, such as a kubeconfig, may have secrets in it.
                report.hint(codes::PL05, &(0..0), message, format!("write `{meant}`"));
            }
        }
        if report.errors() > 0 {
            return None;
        }
        check("document", &node, place(&node), &Shape::Object(fields), &mut report);
        read(&node, &mut report)
    });
    match read {
        Some(read) if report.errors() == 0 => Ok(read),
        _ => Err(report.into_findings()),
    }
}

/// The only document that holds anything.
fn only(bytes: &[u8], kind: &str, report: &mut Report<'_>) -> Option<Node> {
    let text = file::text(bytes, report)?;
    let mut found = None;
    for (base, document) in yaml::documents(text) {
        match yaml::parse(base, document) {
            Ok(None) => {}
            Ok(Some(node)) if found.is_none() => found = Some(node),
            Ok(Some(node)) => {
                report.add(codes::FI04, place(&node), format!("a second document: a file holds one {kind}"));
            }
            Err(fault) => match fault.hint {
                Some(hint) => report.hint(codes::FI04, &fault.span, fault.message, hint),
                None => report.add(codes::FI04, &fault.span, fault.message),
            },
        }
    }
    if found.is_none() && report.errors() == 0 {
        let hint = format!("it starts with `apiVersion: {API_VERSION}` and `kind: {kind}`");
        report.hint(codes::PL04, &(0..0), format!("the file holds no {kind}"), hint);
    }
    found
}
