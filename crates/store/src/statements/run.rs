//! Reading runs.

macro_rules! runs {
    ($rest:literal) => {
        concat!(
            "select r.id, r.job_id, r.attempt, b.name, d.name, r.lease_id, l.state, r.epoch, \
             r.granted_utc_us, r.accepted_utc_us, r.finished_utc_us, r.ended_utc_us, r.outcome, \
             r.power, r.disposition, r.end_reason, r.events_seq, r.log_line, r.log_cursor \
             from runs r join boards b on b.id = r.board_id \
             join dispatchers d on d.id = r.dispatcher_id join leases l on l.id = r.lease_id ",
            $rest
        )
    };
}

macro_rules! latency {
    ($record:literal, $rest:literal) => {
        concat!(
            "select l.run_id, l.job_id, b.name, l.suite, l.phase, l.measure, l.loads, l.verdict, \
             l.samples, l.max_us, l.p9999_us, l.p9999_at_least, l.limit_us, l.kernel, l.timebase, \
             l.measured_utc_us, l.min_us, l.avg_ns, l.p99_us, l.p99_at_least, l.kernel_version, \
             l.image_sha256, ",
            $record,
            " from latency_records l join boards b on b.id = l.board_id ",
            $rest
        )
    };
}

/// The head of trends: conditions, order and limit follow.
pub(crate) const TREND: &str = latency!(
    "''",
    "where l.board_id = (select id from boards where name = $1) and l.measured_utc_us >= $2 \
     and l.measured_utc_us < $3"
);

statements! {
    RUN = runs!("where r.id = $1");
    OF_JOB = runs!("where r.job_id = $1 order by r.attempt");
    OF_BOARD = runs!("where r.board_id = (select id from boards where name = $1) \
        and r.granted_utc_us < $2 order by r.granted_utc_us desc limit $3");
    OPEN = runs!("where r.ended_utc_us is null order by r.id");
    EXISTS = "select 1 from runs where id = $1";
    EVENTS = "select seq, utc_us, data from events where run_id = $1 and seq >= $2 \
        order by seq limit $3";
    RESULTS = "select document from results where run_id = $1";
    CASES = "select data from cases where run_id = $1 order by ordinal";
    LATENCY_OF_RUN = latency!("l.record", "where l.run_id = $1 order by l.ordinal");
    INSERT = "insert into runs (id, job_id, attempt, board_id, dispatcher_id, lease_id, epoch, \
        granted_utc_us) values ($1, $2, $3, $4, $5, $6, $7, $8)";
    LEASE_INSERT = "insert into leases (id, board_id, epoch, run_id, job_id, dispatcher_id, \
        leader_term, state, granted_utc_us) values ($1, $2, $3, $4, $5, $6, $7, 'granted', $8)";
    /// Whether this grant was made already.
    GRANTED = "select job_id, lease_id, epoch, attempt from runs where id = $1";
    FILES = "select path, sha256, size_bytes, stored_utc_us from run_files where run_id = $1 \
        order by path";
    FILE = "select path, sha256, size_bytes, stored_utc_us from run_files where run_id = $1 \
        and path = $2";
    FILE_INSERT = "insert into run_files (run_id, path, sha256, size_bytes, stored_utc_us) \
        values ($1, $2, $3, $4, $5) on conflict (run_id, path) do update set \
        sha256 = excluded.sha256, size_bytes = excluded.size_bytes, \
        stored_utc_us = excluded.stored_utc_us";
    FILE_WITH_CONTENT = "select 1 from run_files where sha256 = $1 limit 1";
}
