//! Messages that carry the request that they came of.
//!
//! A log line of an actor then stands in the span of the request at the edge, with its id, although the actor
//! runs on another thread: one id follows a request from the edge to the agent.

use std::marker::PhantomData;

use actix::dev::{MessageResponse, OneshotSender};
use actix::{Actor, Message};
use tracing::Span;

/// A message with the span in which it was sent.
#[derive(Debug)]
pub struct Traced<M> {
    /// The request's span.
    pub span: Span,
    /// The message.
    pub message: M,
}

impl<M> Traced<M> {
    /// The message in the span of the present moment.
    pub fn new(message: M) -> Self {
        Self { span: Span::current(), message }
    }
}

impl<M: Message> Message for Traced<M> {
    type Result = M::Result;
}

/// The answer to a traced message: the same as to the message itself.
pub struct TracedAnswer<M, R>(R, PhantomData<M>);

impl<M, R> TracedAnswer<M, R> {
    /// What the handler of the message answered.
    pub fn new(answer: R) -> Self {
        Self(answer, PhantomData)
    }
}

impl<A, M, R> MessageResponse<A, Traced<M>> for TracedAnswer<M, R>
where
    A: Actor,
    M: Message,
    R: MessageResponse<A, M>,
{
    fn handle(self, ctx: &mut A::Context, answer: Option<OneshotSender<M::Result>>) {
        self.0.handle(ctx, answer);
    }
}

/// Lets an actor take any of its messages traced: it is handled within its span.
#[macro_export]
macro_rules! handles_traced {
    ($actor:ty) => {
        impl<M> actix::Handler<$crate::traced::Traced<M>> for $actor
        where
            M: actix::Message,
            $actor: actix::Handler<M>,
        {
            type Result = $crate::traced::TracedAnswer<M, <$actor as actix::Handler<M>>::Result>;

            fn handle(&mut self, traced: $crate::traced::Traced<M>, ctx: &mut Self::Context) -> Self::Result {
                let answer = traced.span.in_scope(|| self.handle(traced.message, ctx));
                $crate::traced::TracedAnswer::new(answer)
            }
        }
    };
}
