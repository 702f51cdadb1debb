//! Measurements in processes of their own: descriptors, threads, memory. Each test starts itself again.

use std::fs::{File, read_dir, read_to_string};
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::Duration;

use gatepass::http::Limits;

use super::harness::{Client, Harness, eventually, get};

/// Returns a command that runs this test binary again, for the one test `name`, with at most `files` open files.
fn again(name: &str, files: usize) -> Command {
    let mut command = Command::new("sh");
    let script = format!("ulimit -n {files} && exec \"$0\" \"$@\"");
    command.args(["-c", &script]).arg(std::env::current_exe().unwrap());
    command.args([&format!("alone::{name}"), "--exact", "--ignored", "--nocapture"]);
    command
}

fn passes_alone(name: &str) {
    let output = again(name, 3000).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(told.contains("1 passed"), "{told}");
}

fn count(directory: &str) -> usize {
    read_dir(directory).unwrap().count()
}

/// Resident memory in KiB.
fn resident() -> usize {
    let status = read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn http_2_leaks_nothing() {
    passes_alone("http_2_leaks_nothing_alone");
}

#[test]
#[ignore = "started by the test above"]
fn http_2_leaks_nothing_alone() {
    let harness = Harness::open(Limits::default());
    harness.serves();
    let files = count("/proc/self/fd");
    let threads = count("/proc/self/task");
    for _ in 0..200 {
        let mut client = harness.connect();
        client.send("GET / HTTP/2.0\r\nHost: a\r\n\r\n");
        assert_eq!(client.receive().expect("an answer").status, 505);
    }
    eventually("every descriptor is given back", || count("/proc/self/fd") <= files);
    assert_eq!(count("/proc/self/task"), threads);
    harness.serves();
}

#[test]
fn pipelining_without_reading_is_held_back() {
    passes_alone("pipelining_without_reading_is_held_back_alone");
}

#[test]
#[ignore = "started by the test above"]
fn pipelining_without_reading_is_held_back_alone() {
    let harness = Harness::open(Limits::default());
    harness.serves();
    let before = resident();
    let mut client = harness.connect();
    client.0.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let requests = get("/").repeat(10_000);
    let sent = (0..200).take_while(|_| client.try_send(requests.as_bytes())).count();
    assert!(sent < 200, "the client is held back");
    let answered = harness.echo.answered.load(Ordering::SeqCst);
    assert!(resident() < before + 8 * 1024, "{before} KiB became {} KiB", resident());
    assert!(answered < 200_000, "{answered} answers nobody takes");
    harness.serves();
}

#[test]
fn endless_heads_and_bodies_are_not_kept() {
    passes_alone("endless_heads_and_bodies_are_not_kept_alone");
}

#[test]
#[ignore = "started by the test above"]
fn endless_heads_and_bodies_are_not_kept_alone() {
    let harness = Harness::open(Limits::default());
    harness.serves();
    let before = resident();
    let megabyte = vec![b'x'; 1 << 20];
    for (start, piece, status) in [
        ("", &megabyte, 414),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: ", &megabyte, 431),
        ("GET / HTTP/1.1\r\nHost: a\r\n", &"X: y\r\n".repeat(100_000).into_bytes(), 431),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 400000000\r\n\r\n", &megabyte, 413),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
            &"400\r\n".to_owned().into_bytes().into_iter().chain(vec![b'x'; 1024]).chain(*b"\r\n").collect(),
            413,
        ),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;", &megabyte, 413),
    ] {
        let mut client = harness.connect();
        client.send(start);
        let mut reader = Client(client.0.try_clone().unwrap());
        let answer = std::thread::spawn(move || reader.receive());
        let poured = (0..20).take_while(|_| client.try_send(piece)).count();
        if piece.len() > 100_000 {
            assert!(poured < 20, "20 MB are not read to the end: {status}");
        } else {
            while client.try_send(piece) {}
        }
        let answer = answer.join().unwrap();
        // A client that sends more than is discarded may see the end before the answer.
        assert!(answer.is_none_or(|answer| answer.status == status));
    }
    assert!(resident() < before + 8 * 1024, "{before} KiB became {} KiB", resident());
    harness.serves();
}

#[test]
fn a_thousand_idle_connections_cost_little() {
    passes_alone("a_thousand_idle_connections_cost_little_alone");
}

#[test]
#[ignore = "started by the test above"]
fn a_thousand_idle_connections_cost_little_alone() {
    let harness = Harness::open(Limits::default());
    harness.serves();
    let (before, threads) = (resident(), count("/proc/self/task"));
    let mut idle: Vec<Client> = (0..1000).map(|_| harness.connect()).collect();
    for client in &mut idle {
        assert_eq!(client.get_body("/"), "GET / ");
    }
    eprintln!("1000 idle connections: {before} KiB became {} KiB", resident());
    assert!(resident() < before + 4 * 1024, "{before} KiB became {} KiB", resident());
    assert!(count("/proc/self/task") <= threads + 64, "idle connections have no threads");
}

#[test]
fn running_out_of_descriptors_is_survived() {
    let mut child = again("running_out_of_descriptors_is_survived_alone", 128)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut orders = child.stdin.take().unwrap();
    let mut reports = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut report = |name: &str| {
        let line = reports.find(|line| line.contains(name)).expect("a report");
        line.rsplit(' ').next().unwrap().to_owned()
    };
    let address = report("address").parse().unwrap();
    let crowd = |size| (0..size).map(|_| Client::connect(address)).collect::<Vec<_>>();
    let serves = || assert_eq!(Client::connect(address).get_body("/honest"), "GET /honest ");

    // More sockets than the process may have files.
    let idle = crowd(300);
    serves();
    // No descriptor is left, and none becomes free by itself: an idle connection is closed.
    let mut kept = Client::connect(address);
    kept.get_body("/kept");
    orders.write_all(b"exhaust\n").unwrap();
    report("exhausted");
    serves();
    // No connection can be closed either: the new one is accepted when a descriptor becomes free.
    drop((idle, kept));
    let mut late = Client::connect(address);
    late.send(get("/late"));
    orders.write_all(b"release\n").unwrap();
    assert_eq!(late.receive().expect("an answer").status, 200);
    serves();
    drop(orders);
    assert!(child.wait().unwrap().success());
}

#[test]
#[ignore = "started by the test above"]
fn running_out_of_descriptors_is_survived_alone() {
    // No connection times out.
    let idle_time = Duration::from_secs(3600);
    let harness = Harness::open(Limits { connections: 100_000, idle_time, ..Limits::default() });
    println!("address {}", harness.address);
    let mut held = Vec::new();
    for order in std::io::stdin().lines() {
        match order.unwrap().as_str() {
            "exhaust" => {
                while let Ok(file) = File::open("/dev/null") {
                    held.push(file);
                }
                println!("exhausted {}", held.len());
            }
            _ => held.clear(),
        }
    }
}
