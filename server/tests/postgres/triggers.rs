//! Triggers of the tests' own, by which a server fails or waits as a store writes.

use crate::session::Session;

/// The advisory lock that a store waits for.
const GATE: u32 = 1;

/// The tables that a commit writes.
const TABLES: &str = "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND \
                      relname NOT IN ('gatepass_schema', 'fault')";

/// Creates a trigger function, and calls it before every statement that writes.
fn before_each_write(session: &Session, function: &str, body: &str) {
    let create = format!(
        "CREATE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql SET lock_timeout = 0 AS $$ {body} $$"
    );
    session.run(&create).unwrap();
    for table in session.rows(TABLES).unwrap() {
        let table = &table[0];
        let trigger = format!(
            "CREATE TRIGGER {function} BEFORE INSERT OR UPDATE OR DELETE ON {table} FOR EACH STATEMENT EXECUTE FUNCTION \
             {function}()"
        );
        session.run(&trigger).unwrap();
    }
}

/// Calls a trigger function as a transaction commits that a store has written something in.
fn at_each_commit(session: &Session, function: &str) {
    let trigger = format!(
        "CREATE CONSTRAINT TRIGGER {function}_at_commit AFTER INSERT ON commits DEFERRABLE INITIALLY DEFERRED FOR EACH ROW \
         WHEN (NEW.written = 1) EXECUTE FUNCTION {function}()"
    );
    session.run(&trigger).unwrap();
}

/// Lets stores wait as they write: after everything that a commit names was read and locked, and before anything is written.
pub(crate) struct HeldWrites<'s>(&'s Session);

impl<'s> HeldWrites<'s> {
    pub(crate) fn install(session: &'s Session) -> Self {
        let wait = format!("PERFORM pg_advisory_xact_lock_shared({GATE}); RETURN NULL;");
        let body = format!(
            "BEGIN IF current_setting('application_name') <> 'test' THEN {wait} END IF; RETURN NULL; END"
        );
        before_each_write(session, "wait", &body);
        Self(session)
    }

    /// Lets them wait at COMMIT instead.
    pub(crate) fn at_commit(session: &'s Session) -> Self {
        let body = format!("BEGIN PERFORM pg_advisory_xact_lock_shared({GATE}); RETURN NULL; END");
        let create = format!(
            "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql SET lock_timeout = 0 AS $$ {body} $$"
        );
        session.run(&create).unwrap();
        at_each_commit(session, "wait");
        Self(session)
    }

    pub(crate) fn close(&self) {
        self.0.run(&format!("SELECT pg_advisory_lock({GATE})")).unwrap();
    }

    pub(crate) fn open(&self) {
        self.0.run(&format!("SELECT pg_advisory_unlock({GATE})")).unwrap();
    }

    /// Waits until a store waits.
    pub(crate) fn wait_until_held(&self) {
        self.0.wait_until(&format!("SELECT EXISTS ({WAITING})"));
    }

    /// Ends the connections that wait, as an administrator of the server does.
    pub(crate) fn terminate(&self) {
        self.0.run(&format!("SELECT pg_terminate_backend(pid) FROM ({WAITING}) waiting")).unwrap();
    }
}

const WAITING: &str = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND \
                       application_name = 'gatepass' AND wait_event = 'advisory'";

/// The point at which a transaction fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum At {
    FirstWrite,
    Commit,
}

/// Lets transactions of stores fail with an error.
pub(crate) struct Failures<'s>(&'s Session);

impl<'s> Failures<'s> {
    pub(crate) fn install(session: &'s Session) -> Self {
        session.run("CREATE TABLE fault (code text, at text, times bigint); CREATE SEQUENCE failed").unwrap();
        // A transaction that counts the commits of a process, and nothing else, does not fail: it comes at any time.
        let body = "DECLARE f fault; BEGIN SELECT * INTO f FROM fault; \
                    IF TG_TABLE_NAME IN ('processes', 'generations') THEN \
                    PERFORM set_config('test.wrote', current_setting('test.wrote', true) || 'count', true); RETURN NULL; END IF; \
                    IF TG_TABLE_NAME <> 'commits' THEN PERFORM set_config('test.wrote', 'rows', true); END IF; \
                    IF current_setting('test.wrote', true) LIKE 'count%' THEN RETURN NULL; END IF; \
                    IF f.at = (CASE TG_OP || TG_WHEN WHEN 'INSERTAFTER' THEN 'Commit' ELSE 'FirstWrite' END) AND \
                    nextval('failed') <= f.times THEN RAISE EXCEPTION 'a fault of the test' USING ERRCODE = f.code; END IF; \
                    RETURN NULL; END";
        before_each_write(session, "fail", body);
        at_each_commit(session, "fail");
        Self(session)
    }

    /// Lets the next `times` transactions fail.
    pub(crate) fn next(&self, times: u64, code: &str, at: At) {
        let fault = format!("INSERT INTO fault VALUES ('{code}', '{at:?}', {times})");
        self.0.run(&format!("DELETE FROM fault; {fault}; SELECT setval('failed', 1, false)")).unwrap();
    }

    /// Lets none fail any more. Returns how many have.
    pub(crate) fn stop(&self) -> u64 {
        let times = "SELECT least(times, (SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM failed)) FROM fault";
        let failed = self.0.value(times).parse().unwrap();
        self.0.run("DELETE FROM fault").unwrap();
        failed
    }
}

/// Returns a digest of everything that is stored.
pub(crate) fn contents(session: &Session) -> Vec<Vec<String>> {
    let tables = session.rows(TABLES).unwrap();
    let digest = |table: &String| {
        format!(
            "SELECT '{table}', md5(coalesce(string_agg(t::text, chr(10) ORDER BY t::text), '')) FROM {table} t"
        )
    };
    let all: Vec<String> = tables.iter().map(|table| digest(&table[0])).collect();
    session.rows(&all.join(" UNION ALL ")).unwrap()
}
