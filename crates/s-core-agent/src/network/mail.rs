//! What the network thread hands to the main thread: the token apart from everything else.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel};

use s_core_model::ServerId;
use s_core_proto::Message;

use crate::driver::Incoming;

/// Messages that wait for the main thread; others beyond are dropped.
const MESSAGES: usize = 1024;
/// Tokens that wait for the main thread; more are not read. One more may wait in the network thread.
const TOKENS: usize = 1;

/// A message whose frame bore the seal of a known server.
#[derive(Debug)]
pub(crate) struct Letter {
    pub(crate) sender: ServerId,
    pub(crate) message: Message,
}

/// The network thread's end.
#[derive(Debug)]
pub(crate) struct MailSender {
    tokens: SyncSender<Letter>,
    messages: SyncSender<Letter>,
    /// Whether the main thread knows that there is mail.
    announced: Arc<AtomicBool>,
    inbox: SyncSender<Incoming>,
    /// A token for which there was no room.
    pending: Option<Letter>,
}

/// The main thread's end.
#[derive(Debug)]
pub(crate) struct Mailbox {
    tokens: Receiver<Letter>,
    messages: Receiver<Letter>,
    announced: Arc<AtomicBool>,
}

/// Both ends. The main thread is woken through its inbox, by one message however much mail there is.
pub(crate) fn mail(inbox: SyncSender<Incoming>) -> (MailSender, Mailbox) {
    let (tokens, tokens_out) = sync_channel(TOKENS);
    let (messages, messages_out) = sync_channel(MESSAGES);
    let announced = Arc::new(AtomicBool::new(false));
    let sender = MailSender {
        tokens,
        messages,
        announced: Arc::clone(&announced),
        inbox,
        pending: None,
    };
    let mailbox = Mailbox {
        tokens: tokens_out,
        messages: messages_out,
        announced,
    };
    (sender, mailbox)
}

impl MailSender {
    /// Says whether there was room; a token finds room if [`has_room`](Self::has_room) said so before.
    pub(super) fn send(&mut self, letter: Letter) -> bool {
        let sent = if letter.message.wants_stream() {
            self.send_token(letter)
        } else {
            self.messages.try_send(letter).is_ok()
        };
        self.announce();
        sent
    }

    fn send_token(&mut self, letter: Letter) -> bool {
        match self.tokens.try_send(letter) {
            Err(TrySendError::Full(letter)) if self.pending.is_none() => {
                self.pending = Some(letter);
                true
            }
            sent => sent.is_ok(),
        }
    }

    /// Whether one more token may be read.
    pub(super) fn has_room(&mut self) -> bool {
        if let Some(letter) = self.pending.take() {
            self.send_token(letter);
            self.announce();
        }
        self.pending.is_none()
    }

    fn announce(&self) {
        if !self.announced.swap(true, Ordering::SeqCst) {
            // If its inbox is full, the main thread is awake.
            drop(self.inbox.try_send(Incoming::Mail));
        }
    }
}

impl Mailbox {
    /// Call it before [`token`](Self::token) and [`message`](Self::message): what comes later is announced again.
    pub(crate) fn open(&self) {
        self.announced.store(false, Ordering::SeqCst);
    }

    pub(crate) fn token(&self) -> Result<Letter, TryRecvError> {
        self.tokens.try_recv()
    }

    pub(crate) fn message(&self) -> Result<Letter, TryRecvError> {
        self.messages.try_recv()
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use bytes::Bytes;
    use s_core_model::VmId;
    use s_core_proto::QueryId;

    use super::*;

    #[test]
    fn messages_leave_room_for_a_token_and_tokens_are_few() {
        let (inbox, woken) = sync_channel(8);
        let (mut sender, mailbox) = mail(inbox);
        let letter = |message| Letter {
            sender: ServerId::from(Ipv4Addr::LOCALHOST),
            message,
        };
        let question = Message::LocationRequest {
            query: QueryId::new(1),
            vm: VmId::new(1),
            directed: false,
        };
        let kept = (0..2 * MESSAGES).filter(|_| sender.send(letter(question.clone())));
        assert_eq!(kept.count(), MESSAGES);
        assert_eq!(woken.try_iter().count(), 1, "announced once");

        let token = |byte| letter(Message::Token(Bytes::from_static(byte)));
        let mut kept = 0;
        for byte in [b"1", b"2", b"3"] {
            kept += u32::from(sender.has_room() && sender.send(token(byte)));
        }
        assert_eq!(kept, 2);
        mailbox.open();
        assert_eq!(mailbox.token().unwrap().message, token(b"1").message);
        assert!(sender.has_room(), "the second one has moved up");
        assert_eq!(woken.try_iter().count(), 1, "and is announced");
        assert_eq!(mailbox.token().unwrap().message, token(b"2").message);
        assert!(mailbox.token().is_err());
    }
}
