-- Of a job's runs, those that cost it nothing: refused by a dispatcher for a reason that has nothing
-- to do with the job. ../postgres has the same.

alter table jobs add column refusals integer not null default 0;
