-- Rows as version 2 writes them; see 0001_initial.sql.

insert into latency_records (run_id, ordinal, board_id, job_id, suite, phase, measure, loads, verdict, samples, max_us, p9999_us, p9999_at_least, limit_us, kernel, timebase, measured_utc_us, record, min_us, avg_ns, p99_us, p99_at_least, kernel_version, image_sha256) values
    (x'01900000000070008000000000000001', 1, 1, 1, '1_load', 'load', 'cyclictest', 'idle', 'pass', 20000, 45, 40, 0, 100, '6.12.0-rt', null, 1700000000000018, '{"version":1}', 2, 7250, 39, 1, '#1 SMP PREEMPT_RT', '0606060606060606060606060606060606060606060606060606060606060606');
