-- Superusers and members of pg_read_all_stats or pg_monitor see everything; other roles see the pid.
CREATE EXTENSION neon_redo;
-- What needs preloading raises an error that says so, unless the module is preloaded. The function
-- returns whether the query does the one or the other, so that this test passes on both servers.
SELECT current_setting('shared_preload_libraries') ~ '\mneon\M' AS preloaded \gset
CREATE FUNCTION needs_preloading(query text, preloaded boolean) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE message text; detail text; hint text;
BEGIN
    EXECUTE query;
    RETURN preloaded;
EXCEPTION WHEN object_not_in_prerequisite_state THEN
    GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL,
                            hint = PG_EXCEPTION_HINT;
    RETURN NOT preloaded AND message = 'neon must be loaded via shared_preload_libraries'
           AND detail LIKE 'neon\_%() uses shared memory that is reserved at server start.'
           AND hint = 'Add neon to shared_preload_libraries and restart the server.';
END $$;
CREATE ROLE neon_redo_nobody;
CREATE ROLE neon_redo_monitor IN ROLE pg_monitor;
CREATE ROLE neon_redo_statistics IN ROLE pg_read_all_stats;
\connect "dbname=contrib_regression replication=database application_name=itself"
SET ROLE neon_redo_nobody;
\x on
SELECT to_jsonb(s) - 'pid' = jsonb_object_agg(key, null) - 'pid' AS all_null, pid = pg_backend_pid() AS my_pid
    FROM neon_stat_replication s, jsonb_each(to_jsonb(s)) GROUP BY s, pid;
SELECT to_jsonb(f) = to_jsonb(v) AS same FROM neon_stat_wal_senders() f, neon_stat_replication v;
\x off
SELECT neon_oldest_sent_lsn();
SELECT neon_oldest_flush_lsn();
SELECT * FROM neon_walsender_history();
SELECT * FROM neon_walsender_eta();
SELECT * FROM neon_inactive_slots();
-- Any role may wait; the call fails where the module is not preloaded.
SELECT needs_preloading($$SELECT neon_wait_for_replay('0/0', '0')$$, :'preloaded');
SET ROLE neon_redo_monitor;
SELECT application_name, state FROM neon_stat_replication;
SELECT neon_oldest_sent_lsn(), neon_oldest_flush_lsn();
SELECT count(*) FROM neon_inactive_slots();
SELECT needs_preloading('SELECT count(*) FROM neon_walsender_history()', :'preloaded');
SET ROLE neon_redo_statistics;
SELECT application_name, state FROM neon_stat_replication;
SELECT neon_oldest_sent_lsn(), neon_oldest_flush_lsn();
SELECT count(*) FROM neon_inactive_slots();
RESET ROLE;
\connect "dbname=contrib_regression replication=false"
DROP FUNCTION needs_preloading;
DROP ROLE neon_redo_nobody, neon_redo_monitor, neon_redo_statistics;
DROP EXTENSION neon_redo;
