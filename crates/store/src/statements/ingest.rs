//! The group commit.

/// The head of the question for the runs of a batch: the ids follow.
pub(crate) const RUNS: &str = "select r.id, r.job_id, r.epoch, r.lease_id, r.board_id, b.name, \
    d.name, l.state, r.events_seq, r.log_line, r.log_cursor, r.tail_bytes, r.finished_utc_us, \
    r.ended_utc_us, r.disposition, r.outcome, r.fenced, j.state, j.attempts - j.refusals, \
    j.outcome, b.power \
    from runs r join boards b on b.id = r.board_id join dispatchers d on d.id = r.dispatcher_id \
    join leases l on l.id = r.lease_id join jobs j on j.id = r.job_id where r.id in (";
/// Heads of inserts.
pub(crate) const EVENTS_INSERT: &str = "insert into events (run_id, seq, utc_us, data)";
pub(crate) const TAIL_INSERT: &str = "insert into log_tail (run_id, from_line, lines, levels, \
    first_utc_us, last_utc_us, data)";
pub(crate) const CASES_INSERT: &str =
    "insert into cases (run_id, ordinal, suite, name, result, attempt, data)";
pub(crate) const LATENCY_INSERT: &str = "insert into latency_records (run_id, ordinal, board_id, \
    job_id, suite, phase, measure, loads, verdict, samples, max_us, p9999_us, p9999_at_least, \
    limit_us, kernel, timebase, measured_utc_us, record, min_us, avg_ns, p99_us, p99_at_least, \
    kernel_version, image_sha256)";

statements! {
    CURSORS = "update runs set events_seq = $2, log_line = $3, log_cursor = $4, tail_bytes = $5 \
        where id = $1";
    ACCEPTED = "update runs set accepted_utc_us = $2 where id = $1";
    FINISHED = "update runs set finished_utc_us = $2, outcome = $3, power = $4 where id = $1";
    ENDED = "update runs set ended_utc_us = $2, disposition = $3, end_reason = $4, fenced = $5, \
        outcome = $6 where id = $1 and ended_utc_us is null";
    LEASE_ACTIVE = "update leases set state = 'active', accepted_utc_us = $2 where id = $1 \
        and state = 'granted'";
    LEASE_ENDED = "update leases set state = $2, ended_utc_us = $3, end_reason = $4 where id = $1 \
        and state in ('granted', 'active', 'ending')";
    RESULTS_INSERT = "insert into results (run_id, document) values ($1, $2) \
        on conflict (run_id) do nothing";
}
