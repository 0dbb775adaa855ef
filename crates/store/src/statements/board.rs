//! What boards and dispatchers are doing now.

macro_rules! boards {
    ($rest:literal) => {
        concat!(
            "select b.name, t.name, d.name, b.tags, b.state, b.state_since_utc_us, b.health, \
             b.health_reason, b.health_set_by, b.health_since_utc_us, b.power, \
             b.power_since_utc_us, b.console_open, b.console_reason, b.console_since_utc_us, \
             b.epoch, b.lease_id, b.run_id, b.job_id from boards b \
             join device_types t on t.id = b.device_type_id \
             join dispatchers d on d.id = b.dispatcher_id ",
            $rest
        )
    };
}

statements! {
    BOARDS = boards!("where b.health <> 'retired' order by b.name");
    BOARDS_WITH_RETIRED = boards!("order by b.name");
    BOARD = boards!("where b.name = $1");
    BOARD_HEALTH = "select id, health, health_reason from boards where name = $1";
    DISPATCHERS = "select name, state, state_since_utc_us, mode, mode_reason, mode_set_by, \
        mode_since_utc_us, last_seen_utc_us, build from dispatchers order by name";
    DISPATCHER_SET_MODE = "update dispatchers set mode = $2, mode_reason = $3, mode_set_by = $4, \
        mode_since_utc_us = $5 where name = $1";
    DISPATCHER_STATE = "select state from dispatchers where name = $1";
    DISPATCHER_SET_STATE = "update dispatchers set state = $2, \
        state_since_utc_us = case when state = $2 then state_since_utc_us else $3 end, \
        last_seen_utc_us = case when $2 = 'online' then $3 else last_seen_utc_us end, \
        build = coalesce($4, build) where name = $1";
    DISPATCHER_SEEN = "update dispatchers set last_seen_utc_us = $2 where name = $1 \
        and (last_seen_utc_us is null or last_seen_utc_us < $2)";
    FACTS_BEFORE = "select b.id, d.name, b.power, b.console_open, b.console_reason from boards b \
        join dispatchers d on d.id = b.dispatcher_id where b.name = $1";
    SET_POWER = "update boards set power = $2, power_since_utc_us = $3 where id = $1";
    SET_CONSOLE = "update boards set console_open = $2, console_reason = $3, \
        console_since_utc_us = $4 where id = $1";
    FACT_INSERT = "insert into board_facts (board_id, kind, value, reason, since_utc_us, \
        noted_utc_us) values ($1, $2, $3, $4, $5, $6)";
    /// What a grant must find.
    GRANT_GUARD = "select b.id, b.state, b.health, b.lease_id, b.epoch, b.device_type_id, d.id, \
        d.name, d.mode from boards b join dispatchers d on d.id = b.dispatcher_id \
        where b.name = $1";
    GRANT_BOARD = "update boards set state = 'reserved', state_since_utc_us = $2, epoch = $3, \
        lease_id = $4, run_id = $5, job_id = $6 where id = $1 and state = 'idle' and epoch < $3";
    RAISE_EPOCH = "update boards set epoch = $2 where name = $1 and epoch < $2";
    /// The run's dispatcher has accepted.
    RUNNING = "update boards set state = 'running', state_since_utc_us = $2 where id = $1 \
        and lease_id = $3 and state = 'reserved'";
    /// Only whoever holds it can free it.
    FREE = "update boards set state = 'idle', state_since_utc_us = $2, lease_id = null, \
        run_id = null, job_id = null where id = $1 and lease_id = $3";
}
