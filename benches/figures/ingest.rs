//! Durable ingest: 200-byte events over 32 keep-alive connections, beside an empty actix-web handler that is
//! served and loaded in the same way in the same run. Every 2xx of the daemon is on disk and synced.

use std::net::TcpListener;

use crate::load;
use crate::support::{Bench, event_body, figure, note, percentile};
use actix_web::{App, HttpResponse, HttpServer, web};

/// The argument with which this program is the empty handler.
pub const EMPTY_HANDLER: &str = "empty-handler";

const CONNECTIONS: usize = 32;
const SESSIONS: usize = 32;
const WARM: usize = 5_000;
const EVENTS: usize = 60_000;
const ROUNDS: usize = 3;
/// So many events go into one request where they are sent together.
const BATCH: usize = 10;

pub fn run() {
    let runtime = crate::support::runtime();
    let mut bench = Bench::new();
    bench.start();
    let mut empty = Empty::start();
    let client = bench.client();
    let sessions = runtime.block_on(async {
        let mut sessions = Vec::new();
        for number in 0..SESSIONS {
            sessions.push(bench.session(&client, &format!("ingest {number}")).await);
        }
        sessions
    });
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let count = if round == 0 { WARM } else { EVENTS };
        let (one, two) = runtime.block_on(async {
            let one = bench.fill(&sessions, count, CONNECTIONS).await;
            let two = load::run(empty.address, CONNECTIONS, count, |number| {
                load::post("/", &bench.token, &event_body(number))
            })
            .await;
            (one, two.expect("the empty handler answers"))
        });
        if round > 0 {
            ours.push(one);
            bare.push(two);
        }
    }
    let together = (0..ROUNDS).map(|_| runtime.block_on(in_batches(&bench, &sessions)));
    let together = together.map(|outcome| outcome.rate() * BATCH as f64).fold(0.0, f64::max);
    empty.stop();
    let best = |outcomes: &[load::Outcome]| outcomes.iter().map(load::Outcome::rate).fold(0.0, f64::max);
    let mut latencies: Vec<_> = ours.iter().flat_map(|outcome| outcome.latencies.iter().copied()).collect();
    latencies.sort();
    let share = best(&ours) / best(&bare) * 100.0;
    note("empty actix-web handler, 32 connections", format!("{:.0}/s", best(&bare)));
    note("durable events, 32 connections", format!("{:.0}/s", best(&ours)));
    note(
        "  of these, p50 / p99",
        format!("{:.1?} / {:.1?}", percentile(&latencies, 0.5), percentile(&latencies, 0.99)),
    );
    note(&format!("durable events in requests of {BATCH}, 32 connections"), format!("{together:.0}/s"));
    figure("durable ingest against the empty handler", format!("{share:.1} %"), ">= 30 %", share >= 30.0);
}

/// The same events, several in a request.
async fn in_batches(bench: &Bench, sessions: &[String]) -> load::Outcome {
    let outcome = load::run(bench.address(), CONNECTIONS, EVENTS / BATCH, |number| {
        let path = format!("/api/sessions/{}/events/batch", sessions[number % sessions.len()]);
        let events: Vec<String> = (0..BATCH).map(|at| event_body(number * BATCH + at)).collect();
        load::post(&path, &bench.token, &format!(r#"{{"events":[{}]}}"#, events.join(",")))
    })
    .await;
    let outcome = outcome.unwrap_or_else(|error| panic!("the daemon does not take the events: {error}"));
    assert_eq!(outcome.failures(), 0, "{:?}", outcome.statuses);
    outcome
}

/// The empty handler; it runs as a process of its own, as the daemon does.
pub fn serve_empty() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    println!("{}", listener.local_addr().expect("a bound port").port());
    actix_web::rt::System::new()
        .block_on(async {
            HttpServer::new(|| {
                App::new()
                    .route("/", web::post().to(|_body: web::Bytes| async { HttpResponse::Ok().json(true) }))
            })
            .listen(listener)?
            .run()
            .await
        })
        .expect("the empty handler serves");
}

/// The empty handler as a process.
struct Empty {
    child: std::process::Child,
    address: std::net::SocketAddr,
}

impl Empty {
    fn start() -> Self {
        use std::io::BufRead;
        let program = std::env::current_exe().expect("the bench's own program");
        let mut child = std::process::Command::new(program)
            .arg(EMPTY_HANDLER)
            .stdout(std::process::Stdio::piped())
            .spawn()
            .expect("the empty handler starts");
        let mut line = String::new();
        let output = child.stdout.take().expect("its output was asked for");
        std::io::BufReader::new(output).read_line(&mut line).expect("it says its port");
        let port: u16 = line.trim().parse().expect("a port");
        Self { child, address: ([127, 0, 0, 1], port).into() }
    }

    fn stop(&mut self) {
        self.child.kill().expect("the empty handler runs");
        self.child.wait().expect("it can be waited for");
    }
}
