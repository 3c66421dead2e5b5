//! The closed sets of words that the modern API takes and shows, named in the OpenAPI page so that
//! generated clients know them.

use crate::api::params::OUTCOMES;
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaType, Type};
use utoipa::openapi::{ComponentsBuilder, RefOr};
use utoipa::{PartialSchema, ToSchema};

pub(super) const MODES: &[&str] = &["http", "command", "func"];
pub(super) const STATES: &[&str] = &["scheduled", "running", "stopped"];
pub(super) const OVERLAPS: &[&str] = &["allow", "skip", "queue"];
pub(super) const POLICIES: &[&str] = &["fire_once", "skip", "fire_all"];
pub(super) const RECOVERIES: &[&str] = &["never", "rerun"];
const SOURCES: &[&str] = &["cron", "manual", "catchup", "api"];

macro_rules! words {
    ($($name:ident, $schema:literal, $words:expr;)+) => {
        $(
            /// Stands for the words in schemas; there is no value of it.
            pub(super) enum $name {}

            impl PartialSchema for $name {
                fn schema() -> RefOr<Schema> {
                    let words = ObjectBuilder::new().schema_type(SchemaType::new(Type::String));
                    Schema::Object(words.enum_values(Some($words.iter().copied())).build()).into()
                }
            }

            impl ToSchema for $name {
                fn name() -> std::borrow::Cow<'static, str> {
                    $schema.into()
                }
            }
        )+

        pub(super) fn schemas(components: ComponentsBuilder) -> ComponentsBuilder {
            components$(.schema($schema, $name::schema()))+
        }
    };
}

words! {
    ModeWord, "Mode", MODES;
    StateWord, "JobState", STATES;
    OverlapWord, "Overlap", OVERLAPS;
    PolicyWord, "MisfirePolicy", POLICIES;
    RecoveryWord, "Recovery", RECOVERIES;
    OutcomeWord, "Outcome", OUTCOMES;
    SourceWord, "Source", SOURCES;
}
