-- What trends show beside the largest latency, filled from the records that are stored.
-- ../postgres has the same.

alter table latency_records add column min_us integer;
-- The mean in nanoseconds: whole numbers only.
alter table latency_records add column avg_ns integer;
alter table latency_records add column p99_us integer;
alter table latency_records add column p99_at_least integer not null default 0;
alter table latency_records add column kernel_version text;
alter table latency_records add column image_sha256 text;
update latency_records set
    min_us = json_extract(record, '$.totals.min'),
    avg_ns = cast(round(json_extract(record, '$.totals.avg') * 1000) as integer),
    p99_us = coalesce(json_extract(record, '$.totals.percentiles.p99.exact'),
        json_extract(record, '$.totals.percentiles.p99.at_least')),
    p99_at_least = json_extract(record, '$.totals.percentiles.p99.at_least') is not null,
    kernel_version = json_extract(record, '$.environment.uname_v'),
    image_sha256 = json_extract(record, '$.environment.image_sha256')
    where json_valid(record);
