//! Connections of WebSocket, followed from frame to frame, so that what is to be done to a message is known when it begins. It is decided by
//! its first byte, and nothing is kept that is not dropped: who speaks something else waits for no byte. What is no frame passes from there on
//! as it is.

pub(crate) mod frames;
mod message;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hyper::header::HeaderValue;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::front;
use crate::identity::Chance;
use crate::service::Shared;
use frames::{Kind, LONGEST, NoFrame, Reader, Step};
use message::Fate;

/// In bytes, what is read of one side at once.
const ROOM: usize = 8 << 10;
/// For both sides to answer a close frame of ours.
const ENDS: Duration = Duration::from_secs(5);
/// What it says besides its code.
const REASON: &[u8] = b"closed by Fracas";

/// What a request that goes over to WebSocket needs when it has.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    shared: Arc<Shared>,
    pub(crate) chance: Chance,
    /// The how-manieth connection, and the how-manieth request of it.
    pub(crate) number: (u64, u64),
    /// To which listener it came.
    gate: usize,
    /// Whether it has met a fault. `None`: it is one of our own, and what is done to it does not count.
    fate: Option<front::Fate>,
}

/// From whom a message comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Client,
    Upstream,
}

/// What both directions of a connection share.
#[derive(Debug)]
struct Ends {
    /// The code with which we close.
    ours: watch::Sender<Option<u16>>,
    /// Whether one of the sides closes: nothing is done to messages any more.
    theirs: AtomicBool,
}

/// One direction.
struct Way<'s> {
    session: &'s Session,
    from: Side,
    chance: Chance,
    ends: &'s Ends,
    reader: Reader,
    /// Whether what comes is no frames.
    is_raw: bool,
    /// Of the next message.
    number: u64,
    fate: Fate,
    /// Of the frame that passes.
    kind: Option<Kind>,
    mask: Option<[u8; 4]>,
    /// Whether the side that it comes from has closed.
    has_closed: bool,
    /// What came while a message was held.
    ahead: Vec<u8>,
    /// Whether nothing more comes behind that.
    is_over: bool,
}

/// Whether this is the name of the protocol.
pub(crate) fn is_named(protocol: &HeaderValue) -> bool {
    protocol.as_bytes().trim_ascii().eq_ignore_ascii_case(b"websocket")
}

/// Carries messages until both sides have ended, or one broke off.
pub(crate) async fn carry<C, U>(session: &Session, client: C, upstream: U) -> io::Result<()>
where
    C: AsyncRead + AsyncWrite + Send + Unpin,
    U: AsyncRead + AsyncWrite + Send + Unpin,
{
    let (client_reads, client_writes) = tokio::io::split(client);
    let (upstream_reads, upstream_writes) = tokio::io::split(upstream);
    let ends = Ends {
        ours: watch::Sender::new(None),
        theirs: AtomicBool::new(false),
    };
    let up = Way::new(session, Side::Client, &ends).carry(client_reads, upstream_writes);
    let down = Way::new(session, Side::Upstream, &ends).carry(upstream_reads, client_writes);
    let late = async {
        ends.closed().await;
        sleep(ENDS).await;
    };
    let unheard = async {
        match session.fate {
            // Nobody listens to it for so long, and a message of it may be held for an hour.
            None => sleep(ENDS).await,
            Some(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        carried = async { tokio::try_join!(up, down) } => carried.map(drop),
        () = late => Ok(()),
        () = unheard => Ok(()),
    }
}

impl Session {
    pub(crate) fn of(shared: Arc<Shared>, chance: Chance, fate: front::Fate, number: (u64, u64), gate: usize) -> Self {
        Self {
            shared,
            chance,
            number,
            gate,
            fate: Some(fate),
        }
    }

    /// One of our own.
    pub(crate) fn canary(shared: Arc<Shared>, chance: Chance) -> Self {
        Self {
            shared,
            chance,
            number: (0, 0),
            gate: 0,
            fate: None,
        }
    }

    /// A message comes to whom something is done.
    fn came(&self) {
        if let Some(front) = self.shared.front.as_ref().filter(|_| self.fate.is_some()) {
            front.parts.websocket.came();
        }
    }

    fn met(&self, name: &'static str) {
        if let Some(fate) = &self.fate {
            self.shared.metrics.met(name);
            if let Some(front) = &self.shared.front {
                front.hit(fate);
                front.parts.websocket.hit();
            }
        }
    }
}

impl Ends {
    /// Waits until we close, and gives the code.
    async fn closed(&self) -> u16 {
        let mut heard = self.ours.subscribe();
        // The other end is ours, too, so there is a code at some time or none at all.
        let code = heard.wait_for(Option::is_some).await.ok().and_then(|code| *code);
        match code {
            Some(code) => code,
            None => std::future::pending().await,
        }
    }
}

impl<'s> Way<'s> {
    fn new(session: &'s Session, from: Side, ends: &'s Ends) -> Self {
        let name = match from {
            Side::Client => "from the client",
            Side::Upstream => "from the upstream",
        };
        Self {
            session,
            from,
            chance: session.chance.part(name),
            ends,
            reader: Reader::default(),
            is_raw: false,
            number: 0,
            fate: Fate::UNHARMED,
            kind: None,
            mask: None,
            has_closed: false,
            ahead: Vec::new(),
            is_over: false,
        }
    }

    async fn carry(mut self, mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) -> io::Result<()> {
        let mut room = vec![0; ROOM];
        let ends = self.ends;
        let (code, rest) = loop {
            let is_between = !self.is_raw && self.reader.is_between();
            let count = if self.ahead.is_empty() && !self.is_over {
                tokio::select! {
                    biased;
                    code = ends.closed(), if is_between => break (code, Vec::new()),
                    count = from.read(&mut room) => count?,
                }
            } else {
                let count = self.ahead.len();
                room[..count].copy_from_slice(&self.ahead);
                self.ahead.clear();
                count
            };
            if count == 0 {
                return to.shutdown().await;
            }
            if let Some((code, rest)) = self.pass(&room[..count], &mut from, &mut to).await? {
                break (code, [rest, &self.ahead].concat());
            }
            to.flush().await?;
        };
        // Nothing follows a close frame, ours neither.
        if self.has_closed {
            return Ok(());
        }
        to.write_all(&self.close(code)).await?;
        to.flush().await?;
        self.finish(&rest, from, &mut room).await
    }

    /// Passes on what came. If the connection is to be closed, the code, and what is not read of it; nothing of that has passed.
    async fn pass<'b>(
        &mut self,
        mut bytes: &'b [u8],
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
    ) -> io::Result<Option<(u16, &'b [u8])>> {
        let mut out = Vec::with_capacity(bytes.len() + LONGEST);
        while !bytes.is_empty() {
            if self.is_raw {
                out.extend_from_slice(bytes);
                break;
            }
            if let Some(kind) = self.reader.begins(bytes) {
                let ours = *self.ends.ours.borrow();
                if let Some(code) = ours.filter(|_| !self.has_closed) {
                    to.write_all(&out).await?;
                    return Ok(Some((code, bytes)));
                }
                self.kind = Some(kind);
                if kind.is_first() {
                    self.fate = self.decide(kind);
                    if let Some(code) = self.begin(&mut out, from, to).await? {
                        to.write_all(&out).await?;
                        return Ok(Some((code, bytes)));
                    }
                }
                if kind.is_close() {
                    self.has_closed = true;
                    self.ends.theirs.store(true, Ordering::Release);
                }
            }
            let (taken, step) = match self.reader.next(bytes) {
                Ok(next) => next,
                Err(NoFrame(taken)) => {
                    self.is_raw = true;
                    if self.is_dropped() {
                        // Nothing of it has passed.
                        out.extend_from_slice(self.reader.head());
                        bytes = &bytes[taken..];
                    }
                    continue;
                }
            };
            let (part, rest) = bytes.split_at(taken);
            bytes = rest;
            if let Step::Head(head) = step {
                self.mask = head.mask;
            }
            if self.is_dropped() {
                continue;
            }
            let start = out.len();
            out.extend_from_slice(part);
            if let Step::Payload(at) = step {
                self.corrupt(&mut out[start..], at);
            }
        }
        to.write_all(&out).await?;
        Ok(None)
    }

    /// Decides about a message whose first frame is of this kind.
    fn decide(&mut self, first: Kind) -> Fate {
        let number = self.number;
        self.number += 1;
        if self.ends.theirs.load(Ordering::Acquire) {
            return Fate::UNHARMED;
        }
        let active = self.session.shared.live.at(self.session.gate);
        let block = active.config.websocket();
        if block.is_some() {
            self.session.came();
        }
        block.map_or(Fate::UNHARMED, |block| Fate::of(block, &self.chance, number, first))
    }

    /// Does what is done when a message begins. If the connection is to be closed, the code.
    async fn begin(
        &mut self,
        out: &mut Vec<u8>,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
    ) -> io::Result<Option<u16>> {
        let session = self.session;
        match self.fate {
            Fate::Closed(code) => {
                // Who was first says the code.
                let is_first = self.ends.ours.send_if_modified(|ours| {
                    let is_first = ours.is_none();
                    ours.get_or_insert(code);
                    is_first
                });
                if is_first {
                    session.met("websocket_close");
                }
                Ok(*self.ends.ours.borrow())
            }
            Fate::Dropped => {
                session.met("websocket_message_drop");
                Ok(None)
            }
            Fate::Passes { after: Some(delay), .. } => {
                let begun = Instant::now();
                // What came before does not wait.
                to.write_all(out).await?;
                to.flush().await?;
                out.clear();
                session.met("websocket_message_delay");
                let ends = self.ends;
                tokio::select! {
                    // Whether it was so long or the fault is over: it goes on.
                    _held = session.shared.holds(delay.saturating_sub(begun.elapsed())) => Ok(None),
                    code = ends.closed() => Ok(Some(code)),
                    broke = self.listen(from) => Err(broke),
                }
            }
            Fate::Passes { after: None, .. } => Ok(None),
        }
    }

    /// Takes what comes while a message is held, so that it is seen at once when whoever sent it is gone. As much as is read at once: who sends more
    /// and goes is seen when the message has passed.
    async fn listen(&mut self, from: &mut (impl AsyncRead + Unpin)) -> io::Error {
        while !self.is_over && self.ahead.len() < ROOM {
            let room = ROOM - self.ahead.len();
            match (&mut *from).take(room as u64).read_buf(&mut self.ahead).await {
                Ok(0) => self.is_over = true,
                Ok(_) => {}
                // By TLS without its word for it (close_notify): that the message was whole is known, and it passes first.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => self.is_over = true,
                Err(error) => return error,
            }
        }
        std::future::pending().await
    }

    /// Whether what passes belongs to a message that is dropped.
    fn is_dropped(&self) -> bool {
        matches!(self.fate, Fate::Dropped) && !self.is_control()
    }

    fn is_control(&self) -> bool {
        self.kind.is_some_and(Kind::is_control)
    }

    fn corrupt(&mut self, bytes: &mut [u8], at: u64) {
        if self.is_control() {
            return;
        }
        if let Fate::Passes {
            corruption: Some(corruption),
            ..
        } = &mut self.fate
        {
            let was_hit = corruption.is_hit();
            corruption.put_on(bytes, self.mask, at);
            if !was_hit && corruption.is_hit() {
                self.session.met("websocket_message_corruption");
            }
        }
    }

    /// A close frame for whom this direction goes to. What a client sends is masked, and so is what we send as one.
    fn close(&self, code: u16) -> Vec<u8> {
        let mut payload = code.to_be_bytes().to_vec();
        payload.extend_from_slice(REASON);
        let mut frame = vec![0x88, payload.len() as u8];
        if self.from == Side::Client {
            let key = self.chance.draw("proxy websocket_close mask", 0).to_be_bytes();
            let key = &key[..4];
            frame[1] |= 0x80;
            frame.extend_from_slice(key);
            for (byte, mask) in payload.iter_mut().zip(key.iter().cycle()) {
                *byte ^= mask;
            }
        }
        frame.extend(payload);
        frame
    }

    /// Reads until the side that this direction comes from has closed, too, and keeps nothing: what is not read makes the end a reset, and
    /// that may take away the close frame.
    async fn finish(mut self, rest: &[u8], mut from: impl AsyncRead + Unpin, room: &mut [u8]) -> io::Result<()> {
        let was_over = self.is_over;
        let mut closes = false;
        let mut is_over = |mut bytes: &[u8]| {
            while !(bytes.is_empty() || closes && self.reader.is_between()) {
                let Ok((taken, step)) = self.reader.next(bytes) else {
                    return true;
                };
                closes |= matches!(step, Step::Head(head) if head.kind.is_close());
                bytes = &bytes[taken..];
            }
            closes && self.reader.is_between()
        };
        let mut over = is_over(rest) || was_over;
        while !over {
            let count = from.read(room).await?;
            over = count == 0 || is_over(&room[..count]);
        }
        Ok(())
    }
}
