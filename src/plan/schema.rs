//! Writes the JSON Schema of a plan from the table of fields.

use serde_json::{Map, Value, json};

use super::fields::{API_VERSION, Field, KIND, PLAN, Shape, Status};

/// The JSON Schema (2020-12) of a `CanaryPlan`, for editors. Fields that this version does not support are left out.
pub fn schema() -> Value {
    schema_of(KIND, PLAN)
}

/// The JSON Schema of the documents of a kind.
pub(crate) fn schema_of(kind: &str, fields: &[Field]) -> Value {
    let mut schema = object(fields);
    if let Some(map) = schema.as_object_mut() {
        map.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
        map.insert("title".to_owned(), json!(kind));
    }
    for (field, value) in [("apiVersion", API_VERSION), ("kind", kind)] {
        if let Some(property) = schema.pointer_mut(&format!("/properties/{field}")) {
            *property = json!({"const": value});
        }
    }
    schema
}

fn object(fields: &[Field]) -> Value {
    let given = || fields.iter().filter(|field| field.status != Status::Later);
    let properties: Map<String, Value> = given().map(|field| (field.name.to_owned(), property(field))).collect();
    let required: Vec<&str> =
        given().filter(|field| field.status == Status::Required).map(|field| field.name).collect();
    json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
}

fn property(field: &Field) -> Value {
    let mut property = of(&field.shape);
    if let Some(map) = property.as_object_mut() {
        map.insert("description".to_owned(), json!(field.about));
    }
    property
}

fn of(shape: &Shape) -> Value {
    match shape {
        Shape::Text => json!({"type": "string"}),
        Shape::Choice(words) => json!({"type": "string", "enum": words}),
        Shape::Flag => json!({"type": "boolean"}),
        Shape::Whole { min, max } => json!({"type": "integer", "minimum": min, "maximum": max}),
        Shape::Duration => {
            json!({"type": "string", "pattern": "^(?=.)([0-9]+w)?([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?$"})
        }
        Shape::Factor => json!({"type": "number", "minimum": 0, "maximum": 10, "multipleOf": 0.01}),
        Shape::Percent => json!({"type": "string", "pattern": "^(100|[0-9]{1,2})%$"}),
        Shape::Object(fields) => object(fields),
        Shape::List(item) => json!({"type": "array", "items": of(item)}),
        Shape::Named(value) => json!({"type": "object", "additionalProperties": of(value)}),
        Shape::Istio => json!({"type": "object"}),
        Shape::Either(one, other) => json!({"anyOf": [of(one), of(other)]}),
    }
}

/// The schema of `spec` as Kubernetes wants it for a resource definition: the fields with their types and meaning, none
/// of them required or bounded. What is mirrored was checked already, and a field of a later version is kept as it is.
pub fn structural_spec() -> Value {
    PLAN.iter().find(|field| field.name == "spec").map_or(Value::Null, structural)
}

fn structural(field: &Field) -> Value {
    let mut property = structural_of(&field.shape);
    if let Some(map) = property.as_object_mut() {
        map.insert("description".to_owned(), json!(field.about));
    }
    property
}

fn structural_of(shape: &Shape) -> Value {
    match shape {
        Shape::Factor => json!({"type": "number"}),
        Shape::Text | Shape::Duration | Shape::Percent | Shape::Choice(_) => json!({"type": "string"}),
        Shape::Flag => json!({"type": "boolean"}),
        Shape::Whole { .. } => json!({"type": "integer"}),
        Shape::Object(fields) => {
            let given = fields.iter().filter(|field| field.status != Status::Later);
            let properties: Map<String, Value> =
                given.map(|field| (field.name.to_owned(), structural(field))).collect();
            json!({"type": "object", "properties": properties, "x-kubernetes-preserve-unknown-fields": true})
        }
        Shape::List(item) => json!({"type": "array", "items": structural_of(item)}),
        Shape::Named(value) => json!({"type": "object", "additionalProperties": structural_of(value)}),
        Shape::Istio => json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}),
        // A definition may not leave the type open in any other way.
        Shape::Either(..) => json!({"x-kubernetes-preserve-unknown-fields": true}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_knows_the_fields_of_this_version_alone() {
        let schema = schema();
        assert_eq!(schema["properties"]["kind"]["const"], "CanaryPlan");
        let spec = &schema["properties"]["spec"];
        assert_eq!(spec["required"], json!(["service", "versions", "traffic"]));
        assert_eq!(spec["properties"]["steps"]["items"]["properties"]["weight"]["maximum"], 99);
        assert!(spec["properties"]["steps"]["description"].is_string());
        assert!(spec["properties"].get("adopt").is_none());
        assert_eq!(spec["properties"]["clusters"]["anyOf"][0]["type"], "array");
    }
}
