//! The feed, webhooks and the outbox.

macro_rules! deliveries {
    () => {
        "id, webhook_id, event, job_id, board, data, created_utc_us, due_utc_us, attempts, state, \
         last_error"
    };
}

macro_rules! webhooks {
    ($rest:literal) => {
        concat!(
            "select id, owner, url, secret, events, active, created_utc_us from webhooks ",
            $rest
        )
    };
}

/// The head of the feed's inserts.
pub(crate) const FEED_INSERT: &str =
    "insert into feed (id, at_utc_us, kind, job_id, run_id, board, dispatcher, data)";

statements! {
    /// The row of the counter stays locked until the commit: numbers appear in their order.
    FEED_COUNT_UP = "update counters set value = value + $1 where name = 'feed' returning value";
    FEED_HEAD = "select value from counters where name = 'feed'";
    FEED_AFTER = "select id, at_utc_us, kind, job_id, run_id, board, dispatcher, data from feed \
        where id > $1 order by id limit $2";
    /// Bounded: nobody waits long for a writer. Numbers grow with time, so that only the first ones
    /// are looked at: an index over times would cost every entry something.
    FEED_TRIM = "delete from feed where id in (select id from (select id, at_utc_us from feed \
        order by id limit 10000) as oldest where at_utc_us < $1)";
    WEBHOOK_INSERT = "insert into webhooks (owner, url, secret, events, active, created_utc_us) \
        values ($1, $2, $3, $4, $5, $6) returning id";
    WEBHOOKS = webhooks!("order by id");
    WEBHOOK = webhooks!("where id = $1");
    WEBHOOK_UPDATE = "update webhooks set url = $2, secret = $3, events = $4, active = $5 \
        where id = $1";
    WEBHOOK_DELETE = "delete from webhooks where id = $1";
    /// `$1` is the event between commas, as `events` holds it.
    OUTBOX_INSERT = "insert into outbox (webhook_id, event, job_id, board, data, created_utc_us, \
        due_utc_us, state) select id, $2, $3, $4, $5, $6, $6, 'waiting' from webhooks \
        where active = 1 and events like $1";
    OUTBOX_CLAIM = concat!("update outbox set due_utc_us = $2, attempts = attempts + 1 \
        where state = 'waiting' and due_utc_us <= $1 and id in (select first.id from webhooks \
        join outbox as first on first.id = (select min(id) from outbox \
        where webhook_id = webhooks.id and state = 'waiting') \
        where first.due_utc_us <= $1 order by first.due_utc_us, first.id limit $3) \
        returning ", deliveries!());
    OUTBOX_SENT = "update outbox set state = 'sent', ended_utc_us = $2, last_error = null where id = $1 \
        and state = 'waiting'";
    OUTBOX_AGAIN = "update outbox set due_utc_us = $2, last_error = $3 where id = $1 \
        and state = 'waiting'";
    OUTBOX_DEAD = "update outbox set state = 'dead', ended_utc_us = $2, last_error = $3 where id = $1 \
        and state = 'waiting'";
    /// Bounded, as [`FEED_TRIM`]. What waits has not ended and is kept, however old.
    OUTBOX_TRIM = "delete from outbox where id in (select id from outbox \
        where ended_utc_us < $1 order by ended_utc_us limit $2)";
    OUTBOX_NEXT_DUE = "select min(first.due_utc_us) from webhooks join outbox as first \
        on first.id = (select min(id) from outbox where webhook_id = webhooks.id \
        and state = 'waiting')";
    OUTBOX_OF_WEBHOOK = concat!("select ", deliveries!(), " from outbox where webhook_id = $1 \
        order by id desc limit $2");
}
