-- What trends show beside the largest latency, filled from the records that are stored.
-- ../sqlite has the same.

alter table latency_records add column min_us bigint;
-- The mean in nanoseconds: whole numbers only.
alter table latency_records add column avg_ns bigint;
alter table latency_records add column p99_us bigint;
alter table latency_records add column p99_at_least bigint not null default 0;
alter table latency_records add column kernel_version text;
alter table latency_records add column image_sha256 text;
-- A zero character, which JSON can spell and PostgreSQL cannot keep, would end this.
update latency_records set
    min_us = (record::json #>> '{totals,min}')::bigint,
    avg_ns = round((record::json #>> '{totals,avg}')::numeric * 1000)::bigint,
    p99_us = coalesce((record::json #>> '{totals,percentiles,p99,exact}'),
        (record::json #>> '{totals,percentiles,p99,at_least}'))::bigint,
    p99_at_least = case when record::json #>> '{totals,percentiles,p99,at_least}' is null
        then 0 else 1 end,
    kernel_version = record::json #>> '{environment,uname_v}',
    image_sha256 = record::json #>> '{environment,image_sha256}'
    where position('\u0000' in record) = 0;
