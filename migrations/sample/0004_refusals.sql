-- Rows as version 4 writes them; see 0001_initial.sql.

update jobs set attempts = 3, refusals = 3 where name = 'waits';
