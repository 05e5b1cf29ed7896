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
SELECT needs_preloading('SELECT * FROM neon_walsender_history()', :'preloaded') AS history,
       needs_preloading('SELECT * FROM neon_walsender_eta(1)', :'preloaded') AS eta,
       needs_preloading($$SELECT neon_wait_for_replay('0/0', '0')$$, :'preloaded') AS wait;
DROP FUNCTION needs_preloading;
-- In a parallel query the leader runs restricted functions; workers may run safe ones.
SELECT set_config(name, 'on', false) FROM pg_settings
    WHERE name IN ('force_parallel_mode', 'debug_parallel_query');  -- up to 15, and since 16
SELECT count(*) FROM neon_stat_replication;
SELECT neon_oldest_sent_lsn(), neon_oldest_flush_lsn();
SELECT set_config(name, 'off', false) FROM pg_settings
    WHERE name IN ('force_parallel_mode', 'debug_parallel_query');
DROP EXTENSION neon_redo;
