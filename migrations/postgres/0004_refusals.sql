-- Of a job's runs, those that cost it nothing: refused by a dispatcher for a reason that has nothing
-- to do with the job. ../sqlite has the same.

alter table jobs add column refusals bigint not null default 0;
