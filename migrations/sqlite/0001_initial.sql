-- The tables of the first version. Times are microseconds UTC, ids of runs and leases 16 bytes,
-- SHA-256 digests 32 bytes; lists and maps are JSON texts. ../postgres has the same tables.

create table users (
    id integer primary key autoincrement,
    name text not null unique,
    role text not null,
    created_utc_us integer not null,
    disabled integer not null default 0
) strict;

create table dispatchers (
    id integer primary key autoincrement,
    name text not null unique,
    state text not null,
    state_since_utc_us integer not null,
    mode text not null,
    mode_reason text,
    mode_set_by text,
    mode_since_utc_us integer not null,
    last_seen_utc_us integer,
    build text
) strict;

create table tokens (
    id integer primary key autoincrement,
    kind text not null,
    label text not null,
    user_id integer references users (id),
    dispatcher_id integer references dispatchers (id),
    hash blob not null unique,
    created_utc_us integer not null,
    expires_utc_us integer,
    last_used_utc_us integer,
    revoked_utc_us integer
) strict;
create index tokens_by_user on tokens (user_id);

create table login_links (
    hash blob primary key,
    user_id integer not null references users (id),
    created_utc_us integer not null,
    expires_utc_us integer not null,
    used_utc_us integer
) strict;

create table lab_revisions (
    id integer primary key autoincrement,
    name text not null,
    files text not null,
    files_sha256 blob not null,
    actor text not null,
    applied_utc_us integer not null
) strict;

create table device_types (
    id integer primary key autoincrement,
    name text not null unique,
    retired integer not null default 0
) strict;

create table boards (
    id integer primary key autoincrement,
    name text not null unique,
    device_type_id integer not null references device_types (id),
    dispatcher_id integer not null references dispatchers (id),
    tags text not null,
    state text not null,
    state_since_utc_us integer not null,
    health text not null,
    health_reason text,
    health_set_by text,
    health_since_utc_us integer not null,
    power text not null,
    power_since_utc_us integer not null,
    console_open integer not null,
    console_reason text,
    console_since_utc_us integer not null,
    epoch integer not null default 0,
    lease_id blob,
    run_id blob,
    job_id integer
) strict;

-- The text of each job, once however often it is submitted.
create table definitions (
    sha256 blob primary key,
    text text not null
) strict;

create table jobs (
    id integer primary key autoincrement,
    name text not null,
    definition_sha256 blob not null references definitions (sha256),
    priority integer not null,
    submitter text not null,
    submitted_utc_us integer not null,
    wanted_device_type text,
    wanted_board text,
    wanted_tags text not null,
    resubmit_of integer,
    state text not null,
    attempts integer not null default 0,
    run_id blob,
    board_id integer references boards (id),
    device_type_id integer references device_types (id),
    started_utc_us integer,
    finished_utc_us integer,
    outcome text,
    health text not null,
    failure text,
    canceled_by text,
    cancel_reason text
) strict;
create index jobs_by_state on jobs (state, id);
create index jobs_by_outcome on jobs (outcome, id);
create index jobs_by_board on jobs (board_id, id);
create index jobs_by_device_type on jobs (device_type_id, id);
create index jobs_by_submitter on jobs (submitter, id);

create table idempotency_keys (
    submitter text not null,
    key text not null,
    request_sha256 blob not null,
    job_id integer not null references jobs (id),
    created_utc_us integer not null,
    primary key (submitter, key)
) strict, without rowid;

create table runs (
    id blob primary key,
    job_id integer not null references jobs (id),
    attempt integer not null,
    board_id integer not null references boards (id),
    dispatcher_id integer not null references dispatchers (id),
    lease_id blob not null,
    epoch integer not null,
    granted_utc_us integer not null,
    accepted_utc_us integer,
    finished_utc_us integer,
    ended_utc_us integer,
    outcome text,
    power text,
    -- finished | requeued, once it has ended.
    disposition text,
    end_reason text,
    fenced integer not null default 0,
    events_seq integer not null default 0,
    log_line integer not null default 0,
    log_cursor text,
    -- What of the log lies in log_tail.
    tail_bytes integer not null default 0,
    unique (job_id, attempt)
) strict;
create index runs_by_board on runs (board_id, granted_utc_us);
create index runs_open on runs (id) where ended_utc_us is null;
create index runs_with_tail on runs (ended_utc_us) where tail_bytes > 0;

create table leases (
    id blob primary key,
    board_id integer not null references boards (id),
    epoch integer not null,
    run_id blob references runs (id),
    job_id integer references jobs (id),
    dispatcher_id integer not null references dispatchers (id),
    leader_term integer not null,
    state text not null,
    granted_utc_us integer not null,
    accepted_utc_us integer,
    ended_utc_us integer,
    end_reason text,
    unique (board_id, epoch)
) strict;
-- A board is held by one lease at most, whatever the program believes.
create unique index leases_holding on leases (board_id) where state in ('granted', 'active', 'ending');

create table events (
    run_id blob not null,
    seq integer not null,
    utc_us integer not null,
    data text not null,
    primary key (run_id, seq)
) strict, without rowid;

create table log_tail (
    run_id blob not null,
    from_line integer not null,
    lines integer not null,
    levels integer not null,
    first_utc_us integer not null,
    last_utc_us integer not null,
    data blob not null,
    primary key (run_id, from_line)
) strict;

create table log_objects (
    run_id blob not null,
    from_line integer not null,
    lines integer not null,
    levels integer not null,
    object text not null,
    -- Where in the object this run's part lies, and how long the footer at its end is.
    offset_bytes integer not null,
    length_bytes integer not null,
    footer_bytes integer not null,
    primary key (run_id, from_line)
) strict, without rowid;
create index log_objects_by_object on log_objects (object);

create table run_files (
    run_id blob not null,
    path text not null,
    sha256 blob not null,
    size_bytes integer not null,
    stored_utc_us integer not null,
    primary key (run_id, path)
) strict, without rowid;
create index run_files_by_content on run_files (sha256);

create table results (
    run_id blob primary key,
    document text not null
) strict;

create table cases (
    run_id blob not null,
    ordinal integer not null,
    suite text not null,
    name text not null,
    result text not null,
    attempt integer not null,
    -- The whole case as JSON.
    data text not null,
    primary key (run_id, ordinal)
) strict, without rowid;

create table latency_records (
    run_id blob not null,
    ordinal integer not null,
    board_id integer not null references boards (id),
    job_id integer not null references jobs (id),
    suite text not null,
    phase text not null,
    measure text not null,
    loads text not null,
    verdict text not null,
    samples integer,
    max_us integer,
    p9999_us integer,
    p9999_at_least integer not null,
    limit_us integer,
    kernel text not null,
    timebase text,
    measured_utc_us integer not null,
    record text not null,
    primary key (run_id, ordinal)
) strict;
create index latency_by_board on latency_records (board_id, measured_utc_us);

-- What was said about a board, each change.
create table board_facts (
    id integer primary key autoincrement,
    board_id integer not null references boards (id),
    kind text not null,
    value text not null,
    reason text,
    since_utc_us integer not null,
    noted_utc_us integer not null
) strict;
create index board_facts_by_board on board_facts (board_id, id);

create table audit (
    id integer primary key autoincrement,
    at_utc_us integer not null,
    actor text not null,
    action text not null,
    target text not null,
    detail text not null
) strict;

create table webhooks (
    id integer primary key autoincrement,
    owner text not null,
    url text not null,
    secret blob not null,
    events text not null,
    active integer not null,
    created_utc_us integer not null
) strict;

create table outbox (
    id integer primary key autoincrement,
    webhook_id integer not null references webhooks (id) on delete cascade,
    event text not null,
    job_id integer,
    board text,
    data text not null,
    created_utc_us integer not null,
    due_utc_us integer not null,
    attempts integer not null default 0,
    state text not null,
    -- When it was taken, or given up.
    ended_utc_us integer,
    last_error text
) strict;
create index outbox_first on outbox (webhook_id, id) where state = 'waiting';
create index outbox_by_webhook on outbox (webhook_id, id);

create table feed (
    id integer primary key,
    at_utc_us integer not null,
    kind text not null,
    job_id integer,
    run_id blob,
    board text,
    dispatcher text,
    data text not null
) strict;

-- Numbers that are given in the order of commits: whoever counts one up holds its row until he
-- commits.
create table counters (
    name text primary key,
    value integer not null
) strict;
insert into counters (name, value) values ('feed', 0);

create table leader (
    id integer primary key check (id = 1),
    holder text not null,
    term integer not null,
    expires_utc_us integer not null
) strict;
