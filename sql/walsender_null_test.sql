-- When columns are null. A session with replication=database is a walsender that has sent nothing.
-- It accepts SQL, so it can query its own row.
CREATE EXTENSION neon_redo;
\connect "dbname=contrib_regression replication=database application_name=itself"
\x on
SELECT pid = pg_backend_pid() AS my_pid, kind, application_name, usename = current_user AS my_name,
       usesysid = (SELECT oid FROM pg_roles WHERE rolname = current_user) AS my_oid,
       backend_start <= now() AS started, state, sync_priority, sync_state
    FROM neon_stat_replication;
-- Without WAL sent, a reply or a slot the columns are null: neither zero nor caught up.
SELECT sent_lsn, write_lsn, flush_lsn, replay_lsn, write_lag, flush_lag, replay_lag,
       sent_bytes_behind, write_bytes_behind, flush_bytes_behind, replay_bytes_behind,
       reply_time, reply_age, slot_name, slot_wal_status, slot_retained_bytes, slot_safe_wal_size,
       caught_up
    FROM neon_stat_replication;
\x off
-- A walsender without a position does not count for the oldest position.
SELECT neon_oldest_sent_lsn(), neon_oldest_flush_lsn();
-- A slot that is not in use and retains WAL. Growth needs samples, which need preloading; there may
-- be some already.
SELECT current_setting('shared_preload_libraries') ~ '\mneon\M' AS preloaded \gset
SELECT FROM pg_create_physical_replication_slot('holds_wal', true);
SELECT FROM pg_create_physical_replication_slot('holds_nothing');
SELECT slot_name, slot_type, inactive_since, restart_lsn IS NOT NULL AS has_position, wal_status,
       retained_bytes >= 0 AS retains, safe_wal_size,
       growth_bytes_per_second IS NULL OR :'preloaded' AS sampled, disk_free_bytes > 0 AS has_disk,
       time_left IS NULL OR :'preloaded' AS timed, limited_by
    FROM neon_inactive_slots();
SELECT restart_lsn = (SELECT restart_lsn FROM pg_replication_slots WHERE slot_name = 'holds_wal')
    AS same FROM neon_inactive_slots();
SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name LIKE 'holds_%';
\connect "dbname=contrib_regression replication=false"
DROP EXTENSION neon_redo;
