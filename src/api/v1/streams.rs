//! Answers that end with their client or with the server: how many there may be, and how those who
//! listen are told what happens faster than a page can show it.

use crate::api::Api;
use crate::api::answer::{Answer, refusal};
use crate::api::auth::Identity;
use crate::domain::Text;
use axum::http::{HeaderName, StatusCode};
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::{Stream, StreamExt, stream};
use serde_json::json;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

/// Open streams of all clients together: enough for an office full of consoles, and few enough to cost
/// nothing that a run would miss.
const STREAMS_MAX: usize = 256;
/// Between two signs of life; proxies close what is silent for a minute.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Tells nginx to hand on what comes as it comes.
const BUFFERING: (HeaderName, &str) = (HeaderName::from_static("x-accel-buffering"), "no");
/// How long is collected before it is told. It is also all that a listener asks of a busy server: it
/// wakes once in this time, not once for each event.
const COLLECT: Duration = Duration::from_millis(200);
/// Between two looks whether the listener may still listen.
const ASK_AGAIN: Duration = Duration::from_secs(2);
/// Told one by one in that time; of more only the number is told.
const MOST: usize = 200;

/// The places for streams that are still free.
#[derive(Clone, Debug)]
pub(in crate::api) struct Streams(Arc<Semaphore>);

impl Default for Streams {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(STREAMS_MAX)))
    }
}

/// An endless answer. Its place is free again when the client goes, when the events end, or when whoever
/// listens may no longer: a session that was ended ends what it had open.
pub(super) fn sse(
    api: &Arc<Api>,
    listener: &Identity,
    events: impl Stream<Item = Event> + Send + 'static,
) -> Answer {
    let Ok(place) = api.streams.0.clone().try_acquire_owned() else {
        let text = Text::new(
            format!("打开的实时连接过多（最多 {STREAMS_MAX} 个），请关闭一些页面后重试"),
            format!("too many live streams are open ({STREAMS_MAX} at most); close some pages and try again"),
        );
        return refusal(StatusCode::SERVICE_UNAVAILABLE, text);
    };
    let events = events.take_until(no_longer(api.clone(), listener.clone())).map(move |event| {
        let _held = &place;
        Ok::<_, Infallible>(event)
    });
    let events = Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE));
    Answer::Ready(Box::new(([BUFFERING], events).into_response()))
}

/// Waits until the listener's session or token has ended, or its role is another. Asking is a look into
/// what is known of tokens: the database is asked every few seconds for each token, not for each stream.
async fn no_longer(api: Arc<Api>, listener: Identity) {
    loop {
        tokio::time::sleep(ASK_AGAIN).await;
        if !api.auth.holds(&listener).await {
            return;
        }
    }
}

/// What is told, as events, until the engine has stopped: an open page must not hold up the server's
/// end. When more comes than a page can show, one `lagged` stands for it: {missed}.
pub(super) fn collected<T: Clone + Send + 'static>(
    api: &Api,
    told: Receiver<T>,
    event: impl Fn(T) -> Event + Send + 'static,
) -> impl Stream<Item = Event> + Send + 'static {
    let engine = api.engine.clone();
    let rounds = stream::unfold((engine, told), |(engine, mut told)| async move {
        let first = tokio::select! {
            biased;
            first = told.recv() => first,
            () = engine.ended() => return None,
        };
        if matches!(first, Err(RecvError::Closed)) {
            return None;
        }
        tokio::select! {
            () = tokio::time::sleep(COLLECT) => {}
            () = engine.ended() => {}
        }
        Some((gather(first, &mut told), (engine, told)))
    });
    rounds.flat_map(move |round| {
        stream::iter(match round {
            Ok(all) => all.into_iter().map(&event).collect::<Vec<_>>(),
            Err(missed) => vec![named("lagged", &json!({"missed": missed}))],
        })
    })
}

pub(super) fn named(name: &str, data: &impl serde::Serialize) -> Event {
    Event::default().event(name).data(serde_json::to_string(data).unwrap_or_default())
}

/// What has come so far; an error when that is too much: how many.
fn gather<T: Clone>(first: Result<T, RecvError>, told: &mut Receiver<T>) -> Result<Vec<T>, u64> {
    let (mut all, mut missed) = match first {
        Err(RecvError::Lagged(missed)) => (Vec::new(), missed),
        first => (Vec::from_iter(first), 0),
    };
    loop {
        match told.try_recv() {
            Ok(one) if all.len() < MOST => all.push(one),
            Ok(_) => {
                missed += told.len() as u64 + 1;
                *told = told.resubscribe();
                break;
            }
            Err(TryRecvError::Lagged(more)) => missed += more,
            Err(TryRecvError::Empty | TryRecvError::Closed) => break,
        }
    }
    if missed == 0 { Ok(all) } else { Err(missed + all.len() as u64) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::broadcast;

    #[test]
    fn what_fits_is_told_one_by_one_and_more_as_a_number() {
        let (tell, mut told) = broadcast::channel(1_024);
        let send = |n: u64| (0..n).for_each(|n| drop(tell.send(n)));
        send(199);
        assert_eq!(gather(Ok(7), &mut told).unwrap().len(), 200);
        send(200);
        assert_eq!(gather(Ok(7), &mut told), Err(201));
        assert_eq!(gather(Ok(7), &mut told), Ok(vec![7]), "what was counted is not told again");
        send(2_000);
        assert_eq!(gather(Ok(7), &mut told), Err(2_001));
        assert_eq!(gather(Err(RecvError::Lagged(5)), &mut told), Err(5));
        send(1);
        assert_eq!(gather(Ok(7), &mut told), Ok(vec![7, 0]));
    }
}
