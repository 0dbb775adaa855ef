-- What is kept for a time only is found without looking at what is kept. ../postgres has the same.

create index outbox_ended on outbox (ended_utc_us) where ended_utc_us is not null;
create index audit_by_time on audit (at_utc_us);
