//! Schemas of values that other rooms own: words of `basalt_model`, records of `basalt_realtime`.
//!
//! The types here only name those shapes in the API's document; they hold nothing.

use std::borrow::Cow;

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{AdditionalProperties, ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::{PartialSchema, ToSchema};

macro_rules! words {
    ($($name:ident: $type:path, $description:literal;)+) => {$(
        #[doc = $description]
        #[derive(Debug)]
        pub enum $name {}

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                ObjectBuilder::new()
                    .schema_type(Type::String)
                    .description(Some($description))
                    .enum_values(Some(<$type>::ALL.iter().map(|word| word.as_str())))
                    .build()
                    .into()
            }
        }

        impl ToSchema for $name {
            fn name() -> Cow<'static, str> {
                Cow::Borrowed(stringify!($name))
            }
        }
    )+};
}

words! {
    JobState: basalt_model::JobState, "Where a job stands.";
    Health: basalt_model::Health, "LAVA's health of a job.";
    Outcome: basalt_model::Outcome, "What a job came to.";
    Verdict: basalt_model::Verdict, "What a latency measurement says.";
    CaseOutcome: basalt_model::CaseOutcome, "The result of one test case.";
    PowerState: basalt_model::PowerState, "What a relay says about an outlet.";
    BoardState: basalt_model::BoardState, "What a board is doing.";
    BoardHealth: basalt_model::BoardHealth, "Whether a board may be used.";
    LeaseState: basalt_model::LeaseState, "Where a lease stands.";
    DispatcherState: basalt_model::DispatcherState, "Whether a dispatcher's link is up.";
    DispatcherMode: basalt_model::DispatcherMode, "Whether a dispatcher gets new runs.";
    Role: basalt_model::Role, "What an account may do.";
    LogLevel: basalt_report::joblog::LogLevel, "What a line of a log is.";
}

/// The id of a run or lease, as text.
#[derive(Debug)]
pub enum Uuid {}

impl PartialSchema for Uuid {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::Custom("uuid".into())))
            .build()
            .into()
    }
}

impl ToSchema for Uuid {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("Uuid")
    }
}

macro_rules! records {
    ($($name:ident, $description:literal;)+) => {$(
        #[doc = $description]
        #[derive(Debug)]
        pub enum $name {}

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                ObjectBuilder::new()
                    .schema_type(Type::Object)
                    .description(Some($description))
                    .additional_properties(Some(AdditionalProperties::FreeForm(true)))
                    .build()
                    .into()
            }
        }

        impl ToSchema for $name {
            fn name() -> Cow<'static, str> {
                Cow::Borrowed(stringify!($name))
            }
        }
    )+};
}

records! {
    Failure, "A failure: `culprit` (job, test, kernel, infrastructure, configuration, bug, \
        canceled, unknown), `part` of the infrastructure, stable `code`, `message`, `action`, \
        `awaited`, `last_lines`, `kernel` reports, `power`.";
    KernelReport, "What a kernel said about itself: `kind`, `text`, `offset`, `read_at`, `fatal`.";
    Artifact, "A file that was fetched: `label`, `url`, `sha256`, `bytes`, `linux_version`.";
    Gap, "Bytes of a console that were not read: `offset`, `reason`.";
    Percentile, "A latency in microseconds: `{\"exact\": 12}`, or `{\"at_least\": 800}` where it \
        lies above the histogram.";
    LatencyRecord, "Everything about one measurement phase, as in results.json: `phase`, `suite`, \
        `measure`, `loads`, `limit_us`, `duration_s`, `interval_us`, `threads` (each with \
        `measured.cpu`, `measured.histogram` from latency in microseconds to count, \
        `percentiles`), `totals`, `environment`, `rt_evidence`, `verdict`, `reason`, `partial`, \
        `raw_file`.";
}
