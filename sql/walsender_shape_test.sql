-- Columns, types and properties of the walsender statistics, and their results without a walsender.
CREATE EXTENSION neon_redo;
\d neon_stat_replication
SELECT proname, pg_get_function_arguments(oid) AS arguments
    FROM pg_proc WHERE proname IN ('neon_walsender_history', 'neon_walsender_eta',
                                   'neon_inactive_slots', 'neon_wait_for_replay') ORDER BY 1;
SELECT proname, prorettype::regtype, proretset AS set, provolatile AS volatile,
       proparallel AS parallel, proisstrict AS strict, prosecdef AS definer
    FROM pg_proc WHERE proname LIKE 'neon\_%' ORDER BY 1;
-- All columns of pg_stat_replication exist with the same types, except backend_xmin.
SELECT a.attname, a.atttypid::regtype, n.atttypid::regtype AS here
    FROM pg_attribute a LEFT JOIN pg_attribute n
         ON n.attrelid = 'neon_stat_replication'::regclass AND n.attname = a.attname
    WHERE a.attrelid = 'pg_stat_replication'::regclass AND a.attnum > 0
          AND n.atttypid IS DISTINCT FROM a.atttypid;
-- Without a walsender there is no row and no position.
SELECT count(*) FROM neon_stat_replication;
SELECT neon_oldest_sent_lsn(), neon_oldest_flush_lsn();
SELECT count(*) FROM neon_inactive_slots();
-- Functions that need preloading raise an error.
SELECT * FROM neon_walsender_history();
SELECT * FROM neon_walsender_eta(1);
SELECT neon_wait_for_replay('0/0', '0');
-- In a parallel query the leader runs restricted functions; workers may run safe ones.
SET force_parallel_mode = on;
SELECT count(*) FROM neon_stat_replication;
SELECT neon_oldest_sent_lsn(), neon_oldest_flush_lsn();
RESET force_parallel_mode;
DROP EXTENSION neon_redo;
