use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::{Child, Command};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::AsyncWriteExt;

use super::*;

/// A spool in a folder of its own, and a program on it.
struct Rig {
    spool: Spool,
    agent: Option<Child>,
    _home: tempfile::TempDir,
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.end();
    }
}

impl Rig {
    fn new() -> Self {
        let home = tempfile::tempdir().expect("a folder");
        let spool = Spool::create(&home.path().join("agents/sess_1/run_1")).expect("a spool");
        Self { spool, agent: None, _home: home }
    }

    fn start(script: &str) -> Self {
        let mut rig = Self::new();
        let (stdin, stdout, stderr) = rig.spool.stdio().expect("its handles");
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdin(stdin).stdout(stdout).stderr(stderr);
        rig.agent = Some(command.spawn().expect("sh starts"));
        rig
    }

    fn end(&mut self) {
        if let Some(mut agent) = self.agent.take() {
            let _ = agent.kill();
            let _ = agent.wait();
        }
    }

    fn says(&self, bytes: &[u8]) {
        let mut out = OpenOptions::new().append(true).open(self.spool.output()).expect("its output");
        io::Write::write_all(&mut out, bytes).expect("it takes it");
    }
}

/// The next `count` lines, waited for.
async fn lines(reader: &mut SpoolReader, count: usize) -> Vec<Line> {
    let mut found = Vec::new();
    let enough = async {
        loop {
            found.extend(reader.next_lines(usize::MAX).await.expect("it can be read"));
            if found.len() >= count {
                break;
            }
            reader.changed().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), enough).await.expect("the lines come");
    found
}

fn text(line: &Line) -> &[u8] {
    match &line.content {
        LineContent::Text(bytes) => bytes,
        LineContent::TooLong { bytes } => panic!("a line of {bytes} bytes is too long"),
    }
}

fn said(bytes: &'static [u8], end_offset: u64) -> Line {
    Line { end_offset, content: LineContent::Text(Bytes::from_static(bytes)) }
}

#[tokio::test]
async fn lines_of_all_sizes_come_back_from_a_program_as_they_were_written() {
    let rig = Rig::start("exec cat");
    let (mut writer, mut reader) = (rig.spool.writer(), rig.spool.reader(0).expect("a reader"));
    let atomic = SpoolWriter::ATOMIC;
    // About the atomic size, the size of a pipe, the reader's chunk, and far beyond.
    let sizes =
        [0, 1, atomic - 2, atomic - 1, atomic, atomic + 1, 65_535, 65_536, 65_537, 200_000, 3_000_000];
    let sent: Vec<String> = sizes.iter().map(|size| "é".repeat(size / 2) + &"x".repeat(size % 2)).collect();
    let write = async {
        for line in &sent {
            writer.write_line(line).await.expect("it is read");
        }
    };
    let ((), back) = tokio::join!(write, lines(&mut reader, sent.len()));
    let back: Vec<&[u8]> = back.iter().map(text).collect();
    assert!(back == sent.iter().map(String::as_bytes).collect::<Vec<_>>(), "other lines came back");
}

#[tokio::test]
async fn a_program_outlives_the_handles_of_its_starter_and_hears_the_next_one() {
    let rig = Rig::start("exec cat");
    {
        let (mut writer, mut reader) = (rig.spool.writer(), rig.spool.reader(0).expect("a reader"));
        writer.write_line("one").await.expect("written");
        assert_eq!(lines(&mut reader, 1).await, [said(b"one", 4)]);
        writer.write_line("two").await.expect("written");
    }
    // No handle of ours is left, and what was said meanwhile is there for the next daemon.
    let spool = Spool::open(rig.spool.dir()).expect("found again");
    let (mut writer, mut reader) = (spool.writer(), spool.reader(4).expect("a reader"));
    writer.write_line("three").await.expect("written");
    assert_eq!(lines(&mut reader, 2).await, [said(b"two", 8), said(b"three", 14)]);
}

#[tokio::test]
async fn a_line_that_is_not_ended_waits_for_its_end_and_a_dropped_wait_loses_nothing() {
    let rig = Rig::new();
    let mut reader = rig.spool.reader(0).expect("a reader");
    rig.says(b"half a");
    assert_eq!(reader.next_lines(100).await.expect("read"), []);
    assert_eq!(reader.offset(), 0);
    // Waited for, and given up, again and again.
    for _ in 0..5 {
        let _ = tokio::time::timeout(Duration::from_millis(1), reader.changed()).await;
    }
    rig.says(b" line\nrest");
    assert_eq!(lines(&mut reader, 1).await, [said(b"half a line", 12)]);
    assert_eq!(reader.next_lines(100).await.expect("read"), []);
    assert_eq!(reader.finish(), Some(said(b"rest", 16)));
    assert_eq!((reader.offset(), reader.finish()), (16, None));
}

#[tokio::test]
async fn a_line_over_the_limit_is_told_and_the_next_one_is_whole() {
    let rig = Rig::new();
    let mut reader = SpoolReader::new(rig.spool.output(), 0, 1000).expect("a reader");
    rig.says(b"ok1\n");
    rig.says(&vec![b'x'; 300_000]);
    assert_eq!(lines(&mut reader, 1).await, [said(b"ok1", 4)]);
    rig.says(b"\nok2\n");
    let too_long = Line { end_offset: 300_005, content: LineContent::TooLong { bytes: 300_000 } };
    assert_eq!(lines(&mut reader, 2).await, [too_long, said(b"ok2", 300_009)]);
}

#[tokio::test]
async fn bytes_that_are_no_text_are_handed_on_as_they_are() {
    let rig = Rig::start(r"printf '\377\376\000\200\n{\n'");
    let mut reader = rig.spool.reader(0).expect("a reader");
    assert_eq!(lines(&mut reader, 2).await, [said(b"\xff\xfe\0\x80", 5), said(b"{", 7)]);
}

#[tokio::test]
async fn no_more_than_was_asked_for_is_read_at_once_but_one_line_is() {
    let rig = Rig::new();
    let mut reader = rig.spool.reader(0).expect("a reader");
    let long = "y".repeat(10_000);
    rig.says(format!("{}{long}\n", "0123456789\n".repeat(100)).as_bytes());
    let mut sizes = Vec::new();
    loop {
        let found = reader.next_lines(110).await.expect("read");
        if found.is_empty() {
            break;
        }
        assert_eq!(reader.offset(), found[found.len() - 1].end_offset);
        sizes.push(found.len());
    }
    assert_eq!(sizes, [[10; 10].as_slice(), &[1]].concat());
    assert_eq!(reader.offset(), 1100 + 10_001);
}

#[tokio::test]
async fn the_reader_is_told_of_growth_by_the_system_and_not_only_by_the_clock() {
    let rig = Rig::new();
    let mut reader = rig.spool.reader(0).expect("a reader");
    let mut fastest = Duration::MAX;
    // The watcher's thread may be late now and then, but not every time.
    for _ in 0..20 {
        while !reader.next_lines(100).await.expect("read").is_empty() {}
        let _ = tokio::time::timeout(Duration::from_millis(5), reader.changed()).await;
        let (began, said) = (std::time::Instant::now(), rig.says(b"line\n"));
        reader.changed().await;
        fastest = fastest.min(began.elapsed());
        let () = said;
    }
    assert!(fastest < Duration::from_millis(100), "the fastest took {fastest:?}");
}

#[tokio::test]
async fn an_output_that_somebody_cut_short_is_an_error_that_says_so() {
    let rig = Rig::new();
    rig.says(b"0123456789\n");
    let mut reader = rig.spool.reader(0).expect("a reader");
    assert_eq!(lines(&mut reader, 1).await.len(), 1);
    File::options().write(true).open(rig.spool.output()).expect("opened").set_len(3).expect("cut");
    let error = reader.next_lines(100).await.expect_err("it is shorter than what was read");
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    assert!(error.to_string().contains("has 3 bytes and 11 were read"), "{error}");
    let error = rig.spool.reader(11).expect_err("it is shorter than where to begin");
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn consumed_space_is_given_back_and_what_follows_stays() {
    const MIB: u64 = 1024 * 1024;
    let rig = Rig::new();
    let line = |n: u64| format!("{n:01023}\n");
    rig.says((0..5 * 1024).map(line).collect::<String>().as_bytes());
    let out = rig.spool.output();
    let blocks = || std::fs::metadata(&out).expect("there").blocks() * 512;
    let mut reader = rig.spool.reader(0).expect("a reader");
    while reader.offset() < 3 * MIB + 500_000 {
        assert!(!reader.next_lines(MIB as usize / 4).await.expect("read").is_empty());
    }
    let (before, at) = (blocks(), reader.offset());
    assert!(before >= 5 * MIB);
    // More than was handed out cannot be given back.
    reader.consumed(u64::MAX);
    tokio::time::timeout(Duration::from_secs(20), async {
        while blocks() > before - 3 * MIB {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("three whole MiB are given back");
    assert_eq!(std::fs::metadata(&out).expect("there").len(), 5 * MIB);
    // Both the reader that goes on and one that begins there find every later line.
    for reader in [&mut reader, &mut rig.spool.reader(at).expect("a second reader")] {
        let rest = lines(reader, 5 * 1024 - at as usize / 1024).await;
        for (found, n) in rest.iter().zip(at / 1024..) {
            assert_eq!(text(found), line(n).trim_end().as_bytes());
        }
        assert_eq!(reader.offset(), 5 * MIB);
    }
}

#[tokio::test]
async fn a_program_that_ended_is_gone() {
    let mut rig = Rig::start("exec cat");
    let (mut writer, mut reader) = (rig.spool.writer(), rig.spool.reader(0).expect("a reader"));
    writer.write_line("hello").await.expect("written");
    lines(&mut reader, 1).await;
    rig.end();
    for line in ["short", "x".repeat(10_000).as_str(), "short"] {
        assert!(matches!(writer.write_line(line).await, Err(WriteError::Gone)));
    }
    // For a writer that never had a pipe open too, and for a spool that is removed.
    assert!(matches!(rig.spool.writer().write_line("short").await, Err(WriteError::Gone)));
    let mut late = rig.spool.writer();
    rig.spool.clone().remove().expect("removed");
    assert!(matches!(late.write_line("short").await, Err(WriteError::Gone)));
    rig.spool.clone().remove().expect("removing twice is no error");
}

#[tokio::test]
async fn a_program_that_never_reads_is_stuck_and_a_short_line_is_in_whole_or_not_at_all() {
    let rig = Rig::start("exec sleep 60");
    let mut writer = rig.spool.writer().patience(Duration::from_millis(50));
    let line = "x".repeat(SpoolWriter::ATOMIC - 1);
    let mut fit = 0;
    let stuck = loop {
        match writer.write_line(&line).await {
            Ok(()) => fit += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(stuck, WriteError::Stuck { written: 0 }), "{stuck}");
    assert!(fit >= 2, "only {fit} lines fit");
    // Nothing of it is in, so it may be tried again, and a reader finds whole lines only.
    let mut pipe = pipe_end(&rig.spool);
    for _ in 0..fit {
        assert_eq!(read_exact(&mut pipe, line.len() + 1), format!("{line}\n").into_bytes());
    }
    writer.write_line("again").await.expect("there is room now");
    assert_eq!(read_exact(&mut pipe, 6), b"again\n");
}

#[tokio::test]
async fn a_long_line_that_was_given_up_half_way_lets_no_other_line_follow() {
    let rig = Rig::start("exec sleep 60");
    let long = "x".repeat(1_000_000);
    let mut writer = rig.spool.writer().patience(Duration::from_millis(50));
    let error = writer.write_line(&long).await.expect_err("nobody reads");
    let WriteError::Stuck { written } = error else { panic!("{error}") };
    assert!((1..long.len()).contains(&written), "{written} bytes");
    let again = writer.write_line("short").await.expect_err("half a line is in the pipe");
    assert!(matches!(again, WriteError::Stuck { written: same } if same == written), "{again}");

    // The same when the write is dropped rather than out of patience.
    let rig = Rig::start("exec sleep 60");
    let mut writer = rig.spool.writer();
    assert!(tokio::time::timeout(Duration::from_millis(50), writer.write_line(&long)).await.is_err());
    assert!(matches!(writer.write_line("short").await, Err(WriteError::Stuck { written: 1.. })));
}

#[tokio::test]
async fn a_slow_reader_is_not_stuck_as_long_as_it_goes_on() {
    let rig = Rig::start("exec sleep 60");
    let mut writer = rig.spool.writer().patience(Duration::from_millis(400));
    let long = "x".repeat(400_000);
    let mut pipe = pipe_end(&rig.spool);
    let began = std::time::Instant::now();
    let slow = tokio::task::spawn_blocking(move || {
        let mut got = 0;
        while got < 400_001 {
            // The pause is what is tested here: many of them take longer than the writer's patience.
            std::thread::sleep(Duration::from_millis(100));
            got += read_exact(&mut pipe, (400_001 - got).min(40_000)).len();
        }
    });
    writer.write_line(&long).await.expect("it goes on");
    assert!(began.elapsed() > Duration::from_millis(400), "it was no slow reader");
    slow.await.expect("it read all");
}

#[tokio::test]
async fn a_line_that_would_be_two_is_refused_and_nothing_of_it_is_written() {
    let rig = Rig::start("exec cat");
    let mut writer = rig.spool.writer();
    for line in ["a\nb", "a\n", "\n", "a\rb"] {
        assert!(matches!(writer.write_line(line).await, Err(WriteError::HasNewline)));
    }
    writer.write_line("whole").await.expect("written");
    assert_eq!(lines(&mut rig.spool.reader(0).expect("a reader"), 1).await, [said(b"whole", 6)]);
}

#[test]
fn only_the_user_can_enter_a_spool_and_it_is_made_once() {
    let rig = Rig::new();
    let mode = |path: &Path| std::fs::symlink_metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!(mode(rig.spool.dir()), 0o700);
    for path in [rig.spool.input(), rig.spool.output(), rig.spool.errors()] {
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
    let again = Spool::create(rig.spool.dir()).expect_err("there is one");
    assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
    assert!(again.to_string().contains("run_1"), "{again}");
}

#[test]
fn what_is_no_spool_is_not_opened_as_one() {
    let rig = Rig::new();
    assert_eq!(
        Spool::open(&rig.spool.dir().join("none")).expect_err("nothing is there").kind(),
        io::ErrorKind::NotFound
    );
    std::fs::remove_file(rig.spool.input()).expect("removed");
    std::fs::write(rig.spool.input(), "no pipe").expect("written");
    assert_eq!(
        Spool::open(rig.spool.dir()).expect_err("a file is no pipe").kind(),
        io::ErrorKind::InvalidData
    );
}

#[test]
fn the_end_of_standard_error_is_told_and_the_rest_can_be_given_back() {
    let rig = Rig::new();
    assert!(rig.spool.stderr_tail().is_empty());
    std::fs::write(rig.spool.errors(), b"only \xff one").expect("written");
    assert_eq!(rig.spool.stderr_tail(), ["only \u{fffd} one"]);
    let many: String = (0..200_000).map(|n| format!("line number {n}\n")).collect();
    std::fs::write(rig.spool.errors(), many).expect("written");
    let before = std::fs::metadata(rig.spool.errors()).expect("there").blocks();
    rig.spool.trim_stderr().expect("trimmed");
    if cfg!(target_os = "linux") {
        assert!(std::fs::metadata(rig.spool.errors()).expect("there").blocks() < before);
    }
    let last: Vec<String> = (199_980..200_000).map(|n| format!("line number {n}")).collect();
    assert_eq!(rig.spool.stderr_tail(), last);
    // Few long lines: no more than 8 KiB, and not the piece of the one that was cut.
    std::fs::write(rig.spool.errors(), format!("{}\nlast\n", "x".repeat(20_000))).expect("written");
    assert_eq!(rig.spool.stderr_tail(), ["last"]);
    std::fs::write(rig.spool.errors(), "x".repeat(20_000)).expect("written");
    assert_eq!(rig.spool.stderr_tail(), ["x".repeat(8 * 1024)]);
}

#[test]
fn who_the_program_is_can_be_noted_and_found() {
    let rig = Rig::new();
    assert_eq!(rig.spool.program(), None);
    let id = Identity { pid: 4_000_000, started: u64::MAX };
    rig.spool.note_program(id).expect("noted");
    assert_eq!(rig.spool.program(), Some(id));
    std::fs::write(rig.spool.dir().join("program"), "12 x\n").expect("written");
    assert_eq!(rig.spool.program(), None);
}

#[tokio::test]
async fn two_readers_of_one_output_are_both_told_and_the_end_of_one_does_not_stop_the_other() {
    let rig = Rig::new();
    let mut first = rig.spool.reader(0).expect("a reader");
    let mut second = rig.spool.reader(0).expect("another");
    let mut out = tokio::fs::OpenOptions::new().append(true).open(rig.spool.output()).await.expect("opened");
    out.write_all(b"a\n").await.expect("written");
    out.flush().await.expect("written");
    assert_eq!(lines(&mut first, 1).await, lines(&mut second, 1).await);
    drop(first);
    out.write_all(b"b\n").await.expect("written");
    out.flush().await.expect("written");
    assert_eq!(lines(&mut second, 1).await, [said(b"b", 4)]);
}

/// The other end of the pipe, for tests in which the program does not read it.
fn pipe_end(spool: &Spool) -> File {
    OpenOptions::new().read(true).open(spool.input()).expect("the pipe opens")
}

fn read_exact(pipe: &mut File, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    pipe.read_exact(&mut bytes).expect("as much is there");
    bytes
}
