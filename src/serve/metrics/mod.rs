//! The metrics: a table of all, and the page that a scraper reads.

mod page;
mod table;

pub use page::{CONTENT_TYPE, text};
pub use table::{Kind, METRICS, Metric};
