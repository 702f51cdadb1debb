//! The PostgreSQL engine: any number of processes serve one database.
//!
//! Names of rows are known before anything is read: a query or a batch of commits is one pipeline of statements, one round trip. The core's
//! store in memory then answers the query, or decides which commits hold. What the database does is to keep the rows, to lock them, and to
//! make a commit durable.

mod archive;
mod audit_pages;
mod audit_slot;
mod audit_trail;
mod audit_walk;
mod batch;
mod beside;
mod clock;
mod commit_id;
mod commit_load;
mod commit_names;
mod connection;
mod connector;
mod copy;
mod create;
mod database_clock;
mod dated_ahead;
mod guard;
mod handover;
mod identifiers;
mod keys;
mod load;
mod master_keys;
mod migrate;
mod named_rows;
mod open;
mod pool;
mod process;
mod query_load;
mod query_names;
mod reader;
mod requests;
mod rotate;
mod row_counts;
mod save;
mod slot_list;
mod state;
mod store;
mod superseded;
mod sweep;
mod table;
mod text;
mod tls;
mod trouble;
mod upkeep;
mod whole;
mod writer;

pub(super) use copy::{PostgresSource, PostgresTarget};
pub use store::PostgresStore;
