-- Rows as version 3 writes them; see 0001_initial.sql.

insert into audit (at_utc_us, actor, action, target, detail) values
    (1700000000000023, 'ada', 'dispatcher.mode', 'main', '{}');
insert into outbox (webhook_id, event, job_id, board, data, created_utc_us, due_utc_us, attempts, state, ended_utc_us, last_error) values
    (1, 'job.finished', 1, 'b1', '{}', 1700000000000020, 1700000000000020, 1, 'sent', 1700000000000021, null),
    (1, 'board.health', null, 'b2', '{}', 1700000000000020, 1700000000000020, 9, 'dead', 1700000000000022, 'connection refused');
