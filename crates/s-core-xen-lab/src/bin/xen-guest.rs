//! The only program of a testbed's VM, and its init: answers UDP datagrams and HTTP requests. The kernel has given the interface
//! its address before it starts (`ip=` on its command line).

use std::fs;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::thread;
use std::time::Duration;

use rustix::mount::{MountFlags, mount};

/// Where datagrams are sent back to their sender (RFC 862).
const ECHO: u16 = 7;
/// Where requests are answered.
const HTTP: u16 = 80;
/// The most bytes of a request's head that are read.
const LONGEST_HEAD: u64 = 8 << 10;
/// How long a client may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The most clients at a time, each with a thread: a VM has some ten megabytes to spare.
const MOST_CLIENTS: usize = 16;

fn main() {
    for (kind, at) in [("proc", "/proc"), ("sysfs", "/sys")] {
        if let Err(error) = fs::create_dir_all(at)
            .and_then(|()| Ok(mount(kind, at, kind, MountFlags::empty(), None)?))
        {
            println!("xen-guest: {at}: {error}");
        }
    }
    let servers = [
        thread::spawn(|| said("echo", &echo())),
        thread::spawn(|| said("http", &http())),
    ];
    println!("xen-guest: ready");
    for server in servers {
        // It has said why it ended.
        let _ = server.join();
    }
    // An init that ends takes the VM with it.
    loop {
        thread::park();
    }
}

fn said(server: &str, ended: &io::Result<()>) {
    println!("xen-guest: {server} ended: {ended:?}");
}

fn echo() -> io::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, ECHO))?;
    let mut datagram = [0; 65_536];
    loop {
        let (length, sender) = socket.recv_from(&mut datagram)?;
        // Whoever is not there any more needs no answer.
        let _ = socket.send_to(&datagram[..length], sender);
    }
}

fn http() -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, HTTP))?;
    let clients = std::sync::Arc::new(());
    for client in listener.incoming() {
        let (Ok(client), token) = (client, clients.clone()) else {
            continue;
        };
        if std::sync::Arc::strong_count(&clients) > MOST_CLIENTS + 1 {
            continue;
        }
        thread::spawn(move || {
            // Only the client is interested in what goes wrong.
            let _ = answer(&client);
            drop(token);
        });
    }
    Ok(())
}

/// Answers one request with how long this VM has run, in seconds.
fn answer(mut client: &TcpStream) -> io::Result<()> {
    use std::io::Read as _;
    client.set_read_timeout(Some(PATIENCE))?;
    client.set_write_timeout(Some(PATIENCE))?;
    let head = BufReader::new(client.take(LONGEST_HEAD)).lines();
    let mut lines = head.map_while(Result::ok);
    let is_get = lines.next().is_some_and(|line| line.starts_with("GET "));
    // The head ends with an empty line.
    lines.find(String::is_empty);
    let (status, body) = if is_get {
        ("200 OK", fs::read_to_string("/proc/uptime")?)
    } else {
        ("405 Method Not Allowed", String::new())
    };
    let length = body.len();
    write!(
        client,
        "HTTP/1.0 {status}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}
