-- The tables of the first version. Times are microseconds UTC, ids of runs and leases 16 bytes,
-- SHA-256 digests 32 bytes; lists and maps are JSON texts. ../sqlite has the same tables.

create table users (
    id bigint generated always as identity primary key,
    name text not null unique,
    role text not null,
    created_utc_us bigint not null,
    disabled bigint not null default 0
);

create table dispatchers (
    id bigint generated always as identity primary key,
    name text not null unique,
    state text not null,
    state_since_utc_us bigint not null,
    mode text not null,
    mode_reason text,
    mode_set_by text,
    mode_since_utc_us bigint not null,
    last_seen_utc_us bigint,
    build text
);

create table tokens (
    id bigint generated always as identity primary key,
    kind text not null,
    label text not null,
    user_id bigint references users (id),
    dispatcher_id bigint references dispatchers (id),
    hash bytea not null unique,
    created_utc_us bigint not null,
    expires_utc_us bigint,
    last_used_utc_us bigint,
    revoked_utc_us bigint
);
create index tokens_by_user on tokens (user_id);

create table login_links (
    hash bytea primary key,
    user_id bigint not null references users (id),
    created_utc_us bigint not null,
    expires_utc_us bigint not null,
    used_utc_us bigint
);

create table lab_revisions (
    id bigint generated always as identity primary key,
    name text not null,
    files text not null,
    files_sha256 bytea not null,
    actor text not null,
    applied_utc_us bigint not null
);

create table device_types (
    id bigint generated always as identity primary key,
    name text not null unique,
    retired bigint not null default 0
);

create table boards (
    id bigint generated always as identity primary key,
    name text not null unique,
    device_type_id bigint not null references device_types (id),
    dispatcher_id bigint not null references dispatchers (id),
    tags text not null,
    state text not null,
    state_since_utc_us bigint not null,
    health text not null,
    health_reason text,
    health_set_by text,
    health_since_utc_us bigint not null,
    power text not null,
    power_since_utc_us bigint not null,
    console_open bigint not null,
    console_reason text,
    console_since_utc_us bigint not null,
    epoch bigint not null default 0,
    lease_id bytea,
    run_id bytea,
    job_id bigint
);

-- The text of each job, once however often it is submitted.
create table definitions (
    sha256 bytea primary key,
    text text not null
);

create table jobs (
    id bigint generated always as identity primary key,
    name text not null,
    definition_sha256 bytea not null references definitions (sha256),
    priority bigint not null,
    submitter text not null,
    submitted_utc_us bigint not null,
    wanted_device_type text,
    wanted_board text,
    wanted_tags text not null,
    resubmit_of bigint,
    state text not null,
    attempts bigint not null default 0,
    run_id bytea,
    board_id bigint references boards (id),
    device_type_id bigint references device_types (id),
    started_utc_us bigint,
    finished_utc_us bigint,
    outcome text,
    health text not null,
    failure text,
    canceled_by text,
    cancel_reason text
);
create index jobs_by_state on jobs (state, id);
create index jobs_by_outcome on jobs (outcome, id);
create index jobs_by_board on jobs (board_id, id);
create index jobs_by_device_type on jobs (device_type_id, id);
create index jobs_by_submitter on jobs (submitter, id);

create table idempotency_keys (
    submitter text not null,
    key text not null,
    request_sha256 bytea not null,
    job_id bigint not null references jobs (id),
    created_utc_us bigint not null,
    primary key (submitter, key)
);

create table runs (
    id bytea primary key,
    job_id bigint not null references jobs (id),
    attempt bigint not null,
    board_id bigint not null references boards (id),
    dispatcher_id bigint not null references dispatchers (id),
    lease_id bytea not null,
    epoch bigint not null,
    granted_utc_us bigint not null,
    accepted_utc_us bigint,
    finished_utc_us bigint,
    ended_utc_us bigint,
    outcome text,
    power text,
    -- finished | requeued, once it has ended.
    disposition text,
    end_reason text,
    fenced bigint not null default 0,
    events_seq bigint not null default 0,
    log_line bigint not null default 0,
    log_cursor text,
    -- What of the log lies in log_tail.
    tail_bytes bigint not null default 0,
    unique (job_id, attempt)
);
create index runs_by_board on runs (board_id, granted_utc_us);
create index runs_open on runs (id) where ended_utc_us is null;
create index runs_with_tail on runs (ended_utc_us) where tail_bytes > 0;

create table leases (
    id bytea primary key,
    board_id bigint not null references boards (id),
    epoch bigint not null,
    run_id bytea references runs (id),
    job_id bigint references jobs (id),
    dispatcher_id bigint not null references dispatchers (id),
    leader_term bigint not null,
    state text not null,
    granted_utc_us bigint not null,
    accepted_utc_us bigint,
    ended_utc_us bigint,
    end_reason text,
    unique (board_id, epoch)
);
-- A board is held by one lease at most, whatever the program believes.
create unique index leases_holding on leases (board_id) where state in ('granted', 'active', 'ending');

create table events (
    run_id bytea not null,
    seq bigint not null,
    utc_us bigint not null,
    data text not null,
    primary key (run_id, seq)
);

create table log_tail (
    run_id bytea not null,
    from_line bigint not null,
    lines bigint not null,
    levels bigint not null,
    first_utc_us bigint not null,
    last_utc_us bigint not null,
    data bytea not null,
    primary key (run_id, from_line)
);

create table log_objects (
    run_id bytea not null,
    from_line bigint not null,
    lines bigint not null,
    levels bigint not null,
    object text not null,
    -- Where in the object this run's part lies, and how long the footer at its end is.
    offset_bytes bigint not null,
    length_bytes bigint not null,
    footer_bytes bigint not null,
    primary key (run_id, from_line)
);
create index log_objects_by_object on log_objects (object);

create table run_files (
    run_id bytea not null,
    path text not null,
    sha256 bytea not null,
    size_bytes bigint not null,
    stored_utc_us bigint not null,
    primary key (run_id, path)
);
create index run_files_by_content on run_files (sha256);

create table results (
    run_id bytea primary key,
    document text not null
);

create table cases (
    run_id bytea not null,
    ordinal bigint not null,
    suite text not null,
    name text not null,
    result text not null,
    attempt bigint not null,
    -- The whole case as JSON.
    data text not null,
    primary key (run_id, ordinal)
);

create table latency_records (
    run_id bytea not null,
    ordinal bigint not null,
    board_id bigint not null references boards (id),
    job_id bigint not null references jobs (id),
    suite text not null,
    phase text not null,
    measure text not null,
    loads text not null,
    verdict text not null,
    samples bigint,
    max_us bigint,
    p9999_us bigint,
    p9999_at_least bigint not null,
    limit_us bigint,
    kernel text not null,
    timebase text,
    measured_utc_us bigint not null,
    record text not null,
    primary key (run_id, ordinal)
);
create index latency_by_board on latency_records (board_id, measured_utc_us);

-- What was said about a board, each change.
create table board_facts (
    id bigint generated always as identity primary key,
    board_id bigint not null references boards (id),
    kind text not null,
    value text not null,
    reason text,
    since_utc_us bigint not null,
    noted_utc_us bigint not null
);
create index board_facts_by_board on board_facts (board_id, id);

create table audit (
    id bigint generated always as identity primary key,
    at_utc_us bigint not null,
    actor text not null,
    action text not null,
    target text not null,
    detail text not null
);

create table webhooks (
    id bigint generated always as identity primary key,
    owner text not null,
    url text not null,
    secret bytea not null,
    events text not null,
    active bigint not null,
    created_utc_us bigint not null
);

create table outbox (
    id bigint generated always as identity primary key,
    webhook_id bigint not null references webhooks (id) on delete cascade,
    event text not null,
    job_id bigint,
    board text,
    data text not null,
    created_utc_us bigint not null,
    due_utc_us bigint not null,
    attempts bigint not null default 0,
    state text not null,
    -- When it was taken, or given up.
    ended_utc_us bigint,
    last_error text
);
create index outbox_first on outbox (webhook_id, id) where state = 'waiting';
create index outbox_by_webhook on outbox (webhook_id, id);

create table feed (
    id bigint primary key,
    at_utc_us bigint not null,
    kind text not null,
    job_id bigint,
    run_id bytea,
    board text,
    dispatcher text,
    data text not null
);

-- Numbers that are given in the order of commits: whoever counts one up holds its row until he
-- commits.
create table counters (
    name text primary key,
    value bigint not null
);
insert into counters (name, value) values ('feed', 0);

create table leader (
    id bigint primary key check (id = 1),
    holder text not null,
    term bigint not null,
    expires_utc_us bigint not null
);
