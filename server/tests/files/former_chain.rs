//! The audit chain as versions before schema 9 wrote it, made anew by other code than the server's: what they hashed must hold.

use gatepass_core::base::secret::Secret;
use gatepass_core::crypto::{MacKey, open};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, params};

use crate::installation::TestInstallation;

/// The columns of a row that is hashed whole.
const ALWAYS: usize = 13;
const COLUMNS: &str =
    "seq, at, kind, subject, actor, client, ticket, session, key, address, refusal, reason, count, risk";

/// Returns the key of the chain.
fn chain_key(installation: &TestInstallation, db: &Connection) -> MacKey {
    let text = std::fs::read_to_string(installation.path().join("master.key")).unwrap();
    let digits = text.lines().find(|line| !line.starts_with('#')).unwrap();
    let mut master = [0; 32];
    for (byte, pair) in master.iter_mut().zip(digits.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    }
    let sealed: Vec<u8> = db.query_row("SELECT audit_key FROM meta", [], |row| row.get(0)).unwrap();
    MacKey::new(&open(&Secret::new(master), b"audit", &sealed).unwrap())
}

/// Links every row, and the record of the last one, as a version did whose table has no more than [`COLUMNS`].
pub(crate) fn relink(installation: &TestInstallation, db: &Connection) {
    let key = chain_key(installation, db);
    let mac = |parts: &[&[u8]]| {
        let mut mac = key.begin();
        parts.iter().for_each(|part| mac.absorb(part));
        mac.finish()
    };
    let (mut seq, mut head) = (0, mac(&[b"gatepass audit 1 start"]));
    let mut links = Vec::new();
    let mut select = db.prepare(&format!("SELECT {COLUMNS} FROM audit ORDER BY seq")).unwrap();
    let mut rows = select.query([]).unwrap();
    while let Some(row) = rows.next().unwrap() {
        let mut bytes = b"gatepass audit 1 row".to_vec();
        bytes.extend(head);
        for column in 0..=ALWAYS {
            let (kind, value) = match row.get_ref(column).unwrap() {
                ValueRef::Null if column == ALWAYS => continue,
                ValueRef::Null => (0, Vec::new()),
                ValueRef::Integer(number) => (1, number.to_be_bytes().to_vec()),
                ValueRef::Text(text) => (3, text.to_vec()),
                other @ (ValueRef::Real(_) | ValueRef::Blob(_)) => panic!("{other:?}"),
            };
            bytes.push(kind);
            bytes.extend((value.len() as u64).to_be_bytes());
            bytes.extend(value);
        }
        (seq, head) = (row.get::<_, i64>(0).unwrap(), mac(&[&bytes]));
        links.push((seq, head));
    }
    for (seq, link) in links {
        db.execute("UPDATE audit SET mac = ?2 WHERE seq = ?1", params![seq, link]).unwrap();
    }
    let seal = mac(&[b"gatepass audit 1 head", &seq.to_be_bytes(), &head]);
    db.execute("UPDATE meta SET audit_seq = ?1, audit_mac = ?2, audit_seal = ?3", params![seq, head, seal])
        .unwrap();
}
