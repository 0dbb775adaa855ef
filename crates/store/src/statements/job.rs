//! Jobs.

macro_rules! jobs {
    ($rest:literal) => {
        concat!(
            "select j.id, j.name, j.definition_sha256, j.priority, j.submitter, \
             j.submitted_utc_us, j.wanted_device_type, j.wanted_board, j.wanted_tags, \
             j.resubmit_of, j.state, j.attempts, j.run_id, b.name, t.name, j.started_utc_us, \
             j.finished_utc_us, j.outcome, j.health, j.failure, j.canceled_by, j.cancel_reason \
             from jobs j left join boards b on b.id = j.board_id \
             left join device_types t on t.id = j.device_type_id ",
            $rest
        )
    };
}

/// The head of every list: conditions, order and limit follow.
pub(crate) const LIST: &str = jobs!("where j.id < $1");

statements! {
    KEY = "select request_sha256, job_id from idempotency_keys where submitter = $1 and key = $2";
    KEY_INSERT = "insert into idempotency_keys (submitter, key, request_sha256, job_id, \
        created_utc_us) values ($1, $2, $3, $4, $5)";
    DEFINITION_INSERT = "insert into definitions (sha256, text) values ($1, $2) \
        on conflict (sha256) do nothing";
    INSERT = "insert into jobs (name, definition_sha256, priority, submitter, submitted_utc_us, \
        wanted_device_type, wanted_board, wanted_tags, resubmit_of, state, health, \
        device_type_id) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'scheduling', 'unknown', \
        (select id from device_types where name = $6)) returning id";
    JOB = jobs!("where j.id = $1");
    DEFINITION = "select d.text from jobs j join definitions d on d.sha256 = j.definition_sha256 \
        where j.id = $1";
    QUEUED = "select id, priority, submitted_utc_us, wanted_device_type, wanted_board, \
        wanted_tags, definition_sha256 from jobs where state in ('submitted', 'scheduling') \
        order by id";
    COUNTS = "select state, count(*) from jobs group by state";
    CANCEL_GUARD = "select j.state, j.run_id, b.name, r.epoch from jobs j \
        left join runs r on r.id = j.run_id left join boards b on b.id = j.board_id \
        where j.id = $1";
    CANCEL = "update jobs set state = $2, canceled_by = $3, cancel_reason = $4 where id = $1";
    GRANT = "update jobs set state = 'scheduled', attempts = attempts + 1, run_id = $2, \
        board_id = $3, device_type_id = $4 where id = $1 \
        and state in ('submitted', 'scheduling') returning attempts";
    /// A job that is being canceled stays so.
    RUNNING = "update jobs set state = 'running', started_utc_us = $2 where id = $1 \
        and run_id = $3 and state = 'scheduled'";
    FINISH = "update jobs set state = 'finished', outcome = $2, health = $3, failure = $4, \
        finished_utc_us = $5 where id = $1 and state <> 'finished'";
    /// `$2` is 1 where the run costs the job nothing.
    REQUEUE = "update jobs set state = 'scheduling', refusals = refusals + $2 where id = $1 \
        and state in ('scheduled', 'running')";
}
