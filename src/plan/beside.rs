//! Finds in a file what a check looks into beyond plans: objects that a plan repository refuses, and where in its text
//! a value stands.

use std::ops::Range;

use serde_json::Value;

use super::{
    ObjectKey, Place, PlainObject,
    node::{Content, Node},
    yaml,
};

/// The kinds that are refused beside plans and that a check looks into all the same, with their apiVersions.
const KINDS: [(&str, &[&str]); 3] = [
    ("VirtualService", &["networking.istio.io/v1", "networking.istio.io/v1beta1", "networking.istio.io/v1alpha3"]),
    ("DestinationRule", &["networking.istio.io/v1", "networking.istio.io/v1beta1", "networking.istio.io/v1alpha3"]),
    ("Service", &["v1"]),
];

/// The VirtualServices, DestinationRules and Services of a file, each with the place of its name.
pub fn refused_objects(path: &str, text: &str) -> Vec<(PlainObject, Place)> {
    let nodes = yaml::documents(text).into_iter().filter_map(|(base, document)| yaml::parse(base, document).ok()?);
    nodes.filter_map(|node| object(path, &node)).collect()
}

fn object(path: &str, node: &Node) -> Option<(PlainObject, Place)> {
    let (kind, version) = (node.get("kind")?.text()?, node.get("apiVersion")?.text()?);
    KINDS.iter().find(|(known, versions)| *known == kind && versions.contains(&version))?;
    let metadata = node.get("metadata")?;
    let name = metadata.get("name")?;
    let namespace = metadata.get("namespace").map_or(Some("default"), Node::text)?;
    let key = ObjectKey { namespace: namespace.to_owned(), name: name.text()?.to_owned() };
    let place = Place { file: path.to_owned(), start: name.span.start, end: name.span.end };
    Some((PlainObject { kind: kind.to_owned(), key, value: node.value() }, place))
}

/// What a YAML text says that is no plan file: the first of its documents.
pub fn value_of(text: &str) -> Option<Value> {
    let (base, document) = yaml::documents(text).into_iter().next()?;
    Some(yaml::parse(base, document).ok()??.value())
}

/// One document of a file.
pub struct Around {
    /// Its bytes.
    pub bytes: Range<usize>,
    node: Node,
}

impl Around {
    /// The document around a byte; none where there is none, or it is not YAML.
    pub fn byte(text: &str, byte: usize) -> Option<Self> {
        let within = |(base, document): &(usize, &str)| (*base..base + document.len()).contains(&byte);
        let (base, document) = yaml::documents(text).into_iter().find(within)?;
        Some(Self { bytes: base..base + document.len(), node: yaml::parse(base, document).ok()?? })
    }

    /// The bytes of the first of these values (JSON pointers) that the document has.
    pub fn locate(&self, pointers: &[String]) -> Option<Range<usize>> {
        pointers.iter().find_map(|pointer| place(&self.node, pointer))
    }
}

fn place(root: &Node, pointer: &str) -> Option<Range<usize>> {
    let mut node = root;
    let mut key = None;
    for step in pointer.split('/').skip(1) {
        let step = step.replace("~1", "/").replace("~0", "~");
        (node, key) = match &node.content {
            Content::List(items) => (items.get(step.parse::<usize>().ok()?)?, None),
            Content::Map(_) | Content::Scalar(_) => {
                let entry = node.entry(&step)?;
                (&entry.node, Some(&entry.key_span))
            }
        };
    }
    // Of a map or list its key is shown: the whole may be long.
    Some(match (&node.content, key) {
        (Content::Scalar(value), _) if !value.is_null() => node.span.clone(),
        (_, Some(key)) => key.clone(),
        _ => super::read::place(node).clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "kind: CanaryPlan\n---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: web, namespace: shop}\nspec:\n  hosts: [web, \"*\"]\n  http:\n    - route: []\n";

    #[test]
    fn objects_that_plans_replace_are_found_with_their_names() {
        let [(object, place)] = &refused_objects("a.yaml", TEXT)[..] else { panic!("not one object") };
        assert_eq!((object.kind.as_str(), object.key.to_string().as_str()), ("VirtualService", "shop/web"));
        assert_eq!(&TEXT[place.start..place.end], "web");
        assert!(refused_objects("a.yaml", "apiVersion: apps/v1\nkind: Service\nmetadata: {name: a}\n").is_empty());
    }

    #[test]
    fn a_value_is_found_in_the_document_around_a_byte() {
        let at = refused_objects("a.yaml", TEXT)[0].1.start;
        let of = |pointers: &[&str]| {
            let pointers: Vec<String> = pointers.iter().map(|pointer| (*pointer).to_owned()).collect();
            Around::byte(TEXT, at).unwrap().locate(&pointers).map(|bytes| &TEXT[bytes])
        };
        assert_eq!(of(&["/spec/hosts/1"]), Some("\"*\""));
        assert_eq!(of(&["/spec/hosts"]), Some("hosts"));
        assert_eq!(of(&["/spec/http/0"]), Some("route"));
        assert_eq!(of(&["/spec/tls/0", "/spec"]), Some("spec"));
        assert_eq!((of(&["/spec/hosts/9"]), of(&[])), (None, None));
    }
}
