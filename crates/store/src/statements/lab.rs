//! Revisions of the lab, and the tables that go with the newest one.

macro_rules! revisions {
    ($rest:literal) => {
        concat!(
            "select id, name, files, actor, applied_utc_us from lab_revisions ",
            $rest
        )
    };
}

statements! {
    REVISION_CURRENT = revisions!("order by id desc limit 1");
    REVISION = revisions!("where id = $1");
    REVISION_CURRENT_ID = "select id, files_sha256, name from lab_revisions \
        order by id desc limit 1";
    REVISION_INSERT = "insert into lab_revisions (name, files, files_sha256, actor, \
        applied_utc_us) values ($1, $2, $3, $4, $5) returning id";
    DEVICE_TYPE_RENAME = "update device_types set name = $2 where name = $1";
    DEVICE_TYPE_UPSERT = "insert into device_types (name) values ($1) \
        on conflict (name) do update set retired = 0 returning id";
    DEVICE_TYPES = "select id, name from device_types where retired = 0";
    DEVICE_TYPE_RETIRE = "update device_types set retired = 1 where id = $1";
    DISPATCHER_RENAME = "update dispatchers set name = $2 where name = $1";
    DISPATCHER_UPSERT = "insert into dispatchers (name, state, state_since_utc_us, mode, \
        mode_since_utc_us) values ($1, 'offline', $2, 'active', $2) on conflict (name) do update \
        set mode = case when dispatchers.mode = 'retired' then 'active' else dispatchers.mode end, \
        mode_since_utc_us = case when dispatchers.mode = 'retired' then $2 \
        else dispatchers.mode_since_utc_us end returning id";
    DISPATCHER_BY_NAME = "select id from dispatchers where name = $1 and mode <> 'retired'";
    DISPATCHERS = "select id, name from dispatchers where mode <> 'retired'";
    DISPATCHER_RETIRE = "update dispatchers set mode = 'retired', mode_reason = null, \
        mode_set_by = $3, mode_since_utc_us = $2 where id = $1";
    BOARD_RENAME = "update boards set name = $2 where name = $1";
    BOARDS = "select id, name, dispatcher_id, device_type_id, tags, health, lease_id from boards";
    BOARD_INSERT = "insert into boards (name, device_type_id, dispatcher_id, tags, state, \
        state_since_utc_us, health, health_since_utc_us, power, power_since_utc_us, console_open, \
        console_since_utc_us) values ($1, $2, $3, $4, 'idle', $5, $6, $5, 'unknown', $5, 0, $5)";
    BOARD_UPDATE = "update boards set device_type_id = $2, dispatcher_id = $3, tags = $4 \
        where id = $1";
    BOARD_HEALTH = "update boards set health = $2, health_reason = $3, health_set_by = $4, \
        health_since_utc_us = $5 where id = $1";
}
