//! A table of addresses, and addresses that nobody thought of.

use proptest::prelude::*;

use super::*;

/// Returns what is made of an address: its text without parameters and the file of certificates, or the fault.
fn read(text: &str) -> Result<(String, Option<String>), String> {
    let address = DatabaseAddress::parse(text)?;
    Ok((address.to_string(), address.root_certificates.map(|file| file.display().to_string())))
}

#[test]
fn good_addresses() {
    let socket = "postgres://gatepass@%2Frun%2Fpostgresql/gatepass";
    for (text, shown, certificates) in [
        ("postgres://db/x?sslrootcert=/ca.pem", "postgres://db/x", Some("/ca.pem")),
        ("postgresql://db/x?sslrootcert=/ca.pem", "postgres://db/x", Some("/ca.pem")),
        ("postgres://db/x?sslmode=verify-full&sslrootcert=ca.pem", "postgres://db/x", Some("ca.pem")),
        ("postgres://db/x?sslmode=disable", "postgres://db/x", None),
        ("postgres://u@db:5432/x?sslmode=disable", "postgres://u@db/x", None),
        ("postgres://u@db:5433/x?sslmode=disable", "postgres://u@db:5433/x", None),
        ("postgres://@db:/x?sslmode=disable&", "postgres://db/x", None),
        ("postgres://a,b:1,[::1]:2,10.0.0.1/x?sslmode=disable", "postgres://a,b:1,[::1]:2,10.0.0.1/x", None),
        (socket, socket, None),
        ("postgres://gatepass@/gatepass?host=/run/postgresql", socket, None),
        ("postgres:///x?host=a,b&sslmode=disable", "postgres://a,b/x", None),
        ("postgres://%2Frun:5433/x?sslmode=disable", "postgres://%2Frun:5433/x", None),
        ("postgres://%2Frun,db/x?sslrootcert=/ca.pem", "postgres://%2Frun,db/x", Some("/ca.pem")),
        ("postgres://db/x?sslmode=disable&target_session_attrs=read-write", "postgres://db/x", None),
        ("postgres://a%40b@db/a%2Fb%20c?sslmode=disable", "postgres://a%40b@db/a%2Fb%20c", None),
    ] {
        assert_eq!(read(text), Ok((shown.into(), certificates.map(Into::into))), "{text}");
    }
}

#[test]
fn bad_addresses_and_what_to_write_instead() {
    for (text, told) in [
        ("", "write for example postgres://"),
        ("/var/lib/gatepass", "write for example postgres://"),
        ("mysql://db/x", "write for example postgres://"),
        ("host=db dbname=x", "write for example postgres://"),
        ("postgres://", "no host is named"),
        ("postgres:///x", "no host is named"),
        ("postgres://db", "no database is named"),
        ("postgres://db/?sslmode=disable", "no database is named"),
        ("postgres://u:hunter2@db/x", "store_password_file"),
        ("postgres://u:@db/x", "store_password_file"),
        ("postgres://u@db/x?password=hunter2", "store_password_file"),
        ("postgres://u@db/x?passfile=/hunter2", "store_password_file"),
        ("postgres://u:hunter2/3@db/x", "a port is a number"),
        ("postgres://u:2/hunter2@db/x?sslmode=disable", "has a / or an @"),
        ("postgres://db/x", "sslrootcert=FILE"),
        ("postgres://db/x?sslmode=verify-full", "sslrootcert=FILE"),
        ("postgres://db/x?sslmode=verify-full&sslrootcert=system", "/etc/ssl/certs/ca-certificates.crt"),
        ("postgres://db/x?sslmode=prefer", "switch the encryption off: use sslmode=verify-full"),
        ("postgres://db/x?sslmode=allow", "switch the encryption off: use sslmode=verify-full"),
        ("postgres://db/x?sslmode=require", "pass for the database: use sslmode=verify-full"),
        (
            "postgres://db/x?sslmode=verify-ca&sslrootcert=/a",
            "pass for the database: use sslmode=verify-full",
        ),
        ("postgres://db/x?sslmode=maybe", "verify-full or disable"),
        ("postgres://db/x?sslmode=disable&sslrootcert=/a", "leave it or sslrootcert out"),
        ("postgres://%2Frun/x?sslmode=verify-full&sslrootcert=/a", "which has no TLS"),
        ("postgres://%2Frun/x?sslrootcert=/a", "which has no TLS"),
        ("postgres://db/x?sslmode=disable&sslmode=disable", "sslmode is there twice"),
        ("postgres://db/x?sslmode=", "sslmode has no value"),
        (
            "postgres://db/x?connect_timeout=3",
            "unknown parameter \"connect_timeout\": an address has host, sslmode",
        ),
        ("postgres://db/x?hunter2", "a parameter is malformed"),
        ("postgres://db/x?hun%ter=2", "a parameter is malformed"),
        ("postgres://db/x?host=a&sslmode=disable", "the host is there twice"),
        ("postgres://db/x?sslmode=disable&target_session_attrs=any", "always read-write"),
        ("postgres://db:0/x?sslmode=disable", "a port is a number"),
        ("postgres://db:65536/x?sslmode=disable", "a port is a number"),
        ("postgres://::1/x?sslmode=disable", "in brackets"),
        ("postgres://[::1/x?sslmode=disable", "closed by ]"),
        ("postgres://[db]/x?sslmode=disable", "not an IPv6 address"),
        ("postgres://[::1]5/x?sslmode=disable", "a port is a number"),
        ("postgres://a,,b/x?sslmode=disable", "a host is a name"),
        ("postgres://run/postgresql/x?sslmode=disable", "has a / or an @"),
        ("postgres://d b/x?sslmode=disable", "a host is a name"),
        ("postgres://dü/x?sslmode=disable", "a host is a name"),
        ("postgres://db/x%?sslmode=disable", "write %25"),
        ("postgres://db/x%zz?sslmode=disable", "write %25"),
        ("postgres://db/x%ff?sslmode=disable", "not UTF-8"),
        ("postgres://db/x%00?sslmode=disable", "control character"),
        ("postgres://u\n@db/x?sslmode=disable", "control character"),
    ] {
        let fault = read(text).expect_err(text);
        assert!(fault.contains(told), "{text}: {fault}");
        assert!(!fault.contains("hunter2"), "{text}: {fault}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in any::<String>(), part in "[a-z:/@?&=%,0-9\\[\\]é]{0,40}") {
        let _ = DatabaseAddress::parse(&text);
        let _ = DatabaseAddress::parse(&format!("postgres://{text}"));
        let _ = DatabaseAddress::parse(&format!("postgres://{part}"));
        let _ = DatabaseAddress::parse(&format!("postgres://u@db/x?sslmode=disable&{part}"));
    }

    #[test]
    fn what_is_shown_is_read_back(
        user in proptest::option::of("[^\\pC]{1,8}"),
        hosts in proptest::collection::vec(("[a-z][a-z0-9.-]{0,8}|/[^\\pC]{0,8}|::1", 1_u16..), 1..4),
        database in "[^\\pC]{1,8}",
    ) {
        let hosts = hosts.into_iter().map(|(host, port)| host_at(host, port).unwrap()).collect();
        let address = DatabaseAddress { user, hosts, database, root_certificates: None };
        let read = DatabaseAddress::parse(&format!("{address}?sslmode=disable"));
        prop_assert_eq!(read, Ok(address));
    }

    #[test]
    fn no_message_repeats_a_password(password in "[!-~]{6,20}") {
        for text in [
            format!("postgres://gatepass:{password}@db/x?sslmode=disable"),
            format!("postgres://db/x?sslmode=disable&password={password}"),
            format!("gatepass:{password}@db/x"),
        ] {
            if let Err(fault) = DatabaseAddress::parse(&text) {
                prop_assert!(!fault.contains(&password), "{}", fault);
            }
        }
    }
}
