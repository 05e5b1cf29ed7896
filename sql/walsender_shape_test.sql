-- Columns, types and markings of the walsender statistics; their answers when there is no walsender.
CREATE EXTENSION neon_redo;
\d neon_stat_replication
SELECT proname, pg_get_function_arguments(oid) AS arguments
    FROM pg_proc WHERE proname IN ('neon_walsender_history', 'neon_walsender_eta',
                                   'neon_inactive_slots', 'neon_wait_for_replay') ORDER BY 1;
SELECT proname, prorettype::regtype, proretset AS set, provolatile AS volatile,
       proparallel AS parallel, proisstrict AS strict, prosecdef AS definer
    FROM pg_proc WHERE proname LIKE 'neon\_%' ORDER BY 1;
-- The names and types of pg_stat_replication are kept, but for its backend_xmin.
SELECT a.attname, a.atttypid::regtype, n.atttypid::regtype AS here
    FROM pg_attribute a LEFT JOIN pg_attribute n
         ON n.attrelid = 'neon_stat_replication'::regclass AND n.attname = a.attname
    WHERE a.attrelid = 'pg_stat_replication'::regclass AND a.attnum > 0
          AND n.atttypid IS DISTINCT FROM a.atttypid;
-- No walsender: no row, no position.
SELECT count(*) FROM neon_stat_replication;
SELECT neon_oldest_sent_lsn(), neon_oldest_flush_lsn();
SELECT count(*) FROM neon_inactive_slots();
-- What needs preloading says so.
SELECT * FROM neon_walsender_history();
SELECT * FROM neon_walsender_eta(1);
SELECT neon_wait_for_replay('0/0', '0');
-- In a parallel query: the leader runs what is restricted, workers may run what is safe.
SET force_parallel_mode = on;
SELECT count(*) FROM neon_stat_replication;
SELECT neon_oldest_sent_lsn(), neon_oldest_flush_lsn();
RESET force_parallel_mode;
DROP EXTENSION neon_redo;
