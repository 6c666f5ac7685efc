//! The JSON Schema of cluster files, from the types that read them.

use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use serde_json::Value;

use super::raw;

/// The JSON Schema (draft 7, which editors know best) of cluster files.
pub fn schema() -> Value {
    let settings = SchemaSettings::draft07().with(|settings| settings.inline_subschemas = true);
    settings
        .with_transform(RecursiveTransform(without_null))
        .into_generator()
        .into_root_schema_for::<raw::Cluster>()
        .to_value()
}

/// A key with nothing behind it is read as if it were not there, but editors need not offer that.
fn without_null(schema: &mut Schema) {
    let Some(object) = schema.as_object_mut() else { return };
    for key in ["type", "enum"] {
        if let Some(Value::Array(words)) = object.get_mut(key) {
            words.retain(|word| !word.is_null() && word != "null");
            if key == "type" && words.len() == 1 {
                let only = words.remove(0);
                object.insert(key.to_owned(), only);
            }
        }
    }
    if let Some(Value::Array(options)) = object.get_mut("anyOf") {
        options.retain(|option| option.get("type").is_none_or(|word| word != "null"));
        if options.len() == 1
            && let Value::Object(only) = options.remove(0)
        {
            object.remove("anyOf");
            for (key, value) in only {
                object.entry(key).or_insert(value);
            }
        }
    }
}
