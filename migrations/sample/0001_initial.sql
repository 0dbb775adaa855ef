-- Rows as version 1 writes them: later migrations meet these in the tests, and later builds must
-- read them. Written for SQLite; the test respells bytes for PostgreSQL. Keys are given by the
-- database, so that the order of the rows matters. Never change what is here: add.

insert into users (name, role, created_utc_us, disabled) values
    ('ada', 'administrator', 1700000000000000, 0),
    ('bob', 'user', 1700000000000001, 1);
insert into dispatchers (name, state, state_since_utc_us, mode, mode_reason, mode_set_by, mode_since_utc_us, last_seen_utc_us, build) values
    ('main', 'online', 1700000000000002, 'active', null, null, 1700000000000002, 1700000000000003, '0.1.0'),
    ('old', 'offline', 1700000000000002, 'retired', 'gone', 'ada', 1700000000000002, null, null);
insert into tokens (kind, label, user_id, dispatcher_id, hash, created_utc_us, expires_utc_us, last_used_utc_us, revoked_utc_us) values
    ('api', 'laptop', 1, null, x'0101010101010101010101010101010101010101010101010101010101010101', 1700000000000004, null, 1700000000000005, null),
    ('dispatcher', 'rack', null, 1, x'0202020202020202020202020202020202020202020202020202020202020202', 1700000000000004, 1800000000000000, null, 1700000000000006);
insert into login_links (hash, user_id, created_utc_us, expires_utc_us, used_utc_us) values
    (x'0303030303030303030303030303030303030303030303030303030303030303', 1, 1700000000000000, 1700000600000000, 1700000000000004);
insert into lab_revisions (name, files, files_sha256, actor, applied_utc_us) values
    ('home', '[{"path":"lab.yaml","text":"version: 1\n"}]', x'0404040404040404040404040404040404040404040404040404040404040404', 'ada', 1700000000000007);
insert into device_types (name, retired) values ('qemu', 0), ('toaster', 1);
insert into boards (name, device_type_id, dispatcher_id, tags, state, state_since_utc_us, health, health_reason, health_set_by, health_since_utc_us, power, power_since_utc_us, console_open, console_reason, console_since_utc_us, epoch, lease_id, run_id, job_id) values
    ('b1', 1, 1, '["virtual","rt"]', 'running', 1700000000000020, 'good', null, null, 1700000000000007, 'on', 1700000000000021, 1, null, 1700000000000008, 2, x'01900000000070008000000000000102', x'01900000000070008000000000000002', 2),
    ('b2', 2, 2, '[]', 'idle', 1700000000000007, 'retired', 'sold', 'ada', 1700000000000007, 'unknown', 1700000000000007, 0, 'no such device', 1700000000000007, 0, null, null, null);
insert into definitions (sha256, text) values
    (x'0505050505050505050505050505050505050505050505050505050505050505', 'job_name: latency
');
insert into jobs (name, definition_sha256, priority, submitter, submitted_utc_us, wanted_device_type, wanted_board, wanted_tags, resubmit_of, state, attempts, run_id, board_id, device_type_id, started_utc_us, finished_utc_us, outcome, health, failure, canceled_by, cancel_reason) values
    ('latency', x'0505050505050505050505050505050505050505050505050505050505050505', 50, 'ada', 1700000000000010, 'qemu', null, '["rt"]', null, 'finished', 1, x'01900000000070008000000000000001', 1, 1, 1700000000000012, 1700000000000019, 'incomplete', 'incomplete', '{"culprit":"kernel","code":"panic","message":"the kernel panicked"}', 'ada', 'enough'),
    ('latency again', x'0505050505050505050505050505050505050505050505050505050505050505', 100, 'ada', 1700000000000018, null, 'b1', '[]', 1, 'running', 1, x'01900000000070008000000000000002', 1, 1, 1700000000000021, null, null, 'unknown', null, null, null),
    ('waits', x'0505050505050505050505050505050505050505050505050505050505050505', 0, 'bob', 1700000000000022, 'qemu', null, '[]', null, 'scheduling', 0, null, null, 1, null, null, null, 'unknown', null, null, null);
insert into idempotency_keys (submitter, key, request_sha256, job_id, created_utc_us) values
    ('ada', 'key-1', x'0606060606060606060606060606060606060606060606060606060606060606', 1, 1700000000000010);
insert into runs (id, job_id, attempt, board_id, dispatcher_id, lease_id, epoch, granted_utc_us, accepted_utc_us, finished_utc_us, ended_utc_us, outcome, power, disposition, end_reason, fenced, events_seq, log_line, log_cursor, tail_bytes) values
    (x'01900000000070008000000000000001', 1, 1, 1, 1, x'01900000000070008000000000000101', 1, 1700000000000011, 1700000000000012, 1700000000000018, 1700000000000019, 'incomplete', 'off', 'finished', null, 0, 2, 3, '{"seq":2}', 0),
    (x'01900000000070008000000000000002', 2, 1, 1, 1, x'01900000000070008000000000000102', 2, 1700000000000020, 1700000000000021, null, null, null, null, null, null, 0, 1, 2, '{"seq":1}', 4);
insert into leases (id, board_id, epoch, run_id, job_id, dispatcher_id, leader_term, state, granted_utc_us, accepted_utc_us, ended_utc_us, end_reason) values
    (x'01900000000070008000000000000101', 1, 1, x'01900000000070008000000000000001', 1, 1, 1, 'ended', 1700000000000011, 1700000000000012, 1700000000000018, null),
    (x'01900000000070008000000000000102', 1, 2, x'01900000000070008000000000000002', 2, 1, 1, 'active', 1700000000000020, 1700000000000021, null, null);
insert into events (run_id, seq, utc_us, data) values
    (x'01900000000070008000000000000001', 1, 1700000000000012, '{"v":1,"run":"01900000-0000-7000-8000-000000000001","seq":1,"utc_us":1700000000000012,"boot_ns":1,"boot_id":"boot","kind":"lease_granted","epoch":1,"console_from":0}'),
    (x'01900000000070008000000000000001', 2, 1700000000000018, '{"v":1,"run":"01900000-0000-7000-8000-000000000001","seq":2,"utc_us":1700000000000018,"boot_ns":2,"boot_id":"boot","kind":"something_new"}'),
    (x'01900000000070008000000000000002', 1, 1700000000000021, '{"v":1,"run":"01900000-0000-7000-8000-000000000002","seq":1,"utc_us":1700000000000021,"boot_ns":3,"boot_id":"boot","kind":"lease_granted","epoch":2,"console_from":7}');
insert into log_tail (run_id, from_line, lines, levels, first_utc_us, last_utc_us, data) values
    (x'01900000000070008000000000000002', 1, 2, 5, 1700000000000021, 1700000000000022, x'00ff0a0d');
insert into log_objects (run_id, from_line, lines, levels, object, offset_bytes, length_bytes, footer_bytes) values
    (x'01900000000070008000000000000001', 1, 3, 1, 'logs/01900000-0000-7000-8000-00000000aaaa', 0, 200, 68);
insert into run_files (run_id, path, sha256, size_bytes, stored_utc_us) values
    (x'01900000000070008000000000000001', 'raw/0_idle.json', x'0707070707070707070707070707070707070707070707070707070707070707', 2874, 1700000000000018);
insert into results (run_id, document) values
    (x'01900000000070008000000000000001', '{"version":1}');
insert into cases (run_id, ordinal, suite, name, result, attempt, data) values
    (x'01900000000070008000000000000001', 0, '0_idle', 't0-max-latency', 'pass', 1, '{"suite":"0_idle","case":"t0-max-latency","result":"pass","measurement":45.5,"units":"us","attempt":1}');
insert into latency_records (run_id, ordinal, board_id, job_id, suite, phase, measure, loads, verdict, samples, max_us, p9999_us, p9999_at_least, limit_us, kernel, timebase, measured_utc_us, record) values
    (x'01900000000070008000000000000001', 0, 1, 1, '0_idle', 'idle', 'cyclictest', 'hackbench', 'fail', 10000, 145, 120, 0, 100, '6.12.0-rt', 'virtual (icount shift=3)', 1700000000000017, '{"version":1}'),
    (x'01900000000070008000000000000001', 2, 1, 1, '2_idle', 'idle', 'cyclictest', 'idle', 'pass', 10000, 45, 40, 0, 100, '6.12.0-rt', null, 1700000000000016, '{"version":1,"totals":{"samples":10000,"min":3,"avg":12.3456,"max":45,"overflows":0,"percentiles":{"p50":{"exact":11},"p99":{"exact":38},"p99.9":null,"p99.99":{"exact":40}}},"environment":{"image_sha256":"0707070707070707070707070707070707070707070707070707070707070707","uname_v":"#1 SMP PREEMPT_RT 2026"}}'),
    (x'01900000000070008000000000000001', 3, 1, 1, '3_idle', 'idle', 'cyclictest', 'idle', 'invalid', null, null, null, 0, 100, 'unknown', null, 1700000000000015, '{"version":1,"totals":null,"reason":"odd \u0000 text","environment":{}}');
insert into board_facts (board_id, kind, value, reason, since_utc_us, noted_utc_us) values
    (1, 'power', 'on', null, 1700000000000021, 1700000000000022),
    (2, 'console', 'closed', 'no such device', 1700000000000007, 1700000000000008);
insert into audit (at_utc_us, actor, action, target, detail) values
    (1700000000000007, 'ada', 'lab.apply', 'home', '{"revision":1}');
insert into webhooks (owner, url, secret, events, active, created_utc_us) values
    ('ada', 'https://ci.example/hook', x'010203', ',job.finished,board.health,', 1, 1700000000000009);
insert into outbox (webhook_id, event, job_id, board, data, created_utc_us, due_utc_us, attempts, state, ended_utc_us, last_error) values
    (1, 'job.finished', 1, 'b1', '{"state":"finished","outcome":"incomplete"}', 1700000000000019, 1700000060000019, 1, 'waiting', null, 'connection refused');
insert into feed (id, at_utc_us, kind, job_id, run_id, board, dispatcher, data) values
    (7, 1700000000000019, 'job', 1, x'01900000000070008000000000000001', 'b1', null, '{"state":"finished","outcome":"incomplete"}');
update counters set value = 7 where name = 'feed';
insert into leader (id, holder, term, expires_utc_us) values (1, 'server-1', 1, 1700000030000000);
