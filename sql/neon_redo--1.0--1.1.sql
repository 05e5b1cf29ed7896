-- Version 1.1 adds statistics of the server's walsenders (docs/monitoring.md).
\echo Use "ALTER EXTENSION neon_redo UPDATE TO '1.1'" to load this file. \quit

-- A caller without the privileges of pg_read_all_stats sees pid, and nulls in all other columns.
CREATE FUNCTION neon_stat_wal_senders(
    OUT pid int,
    OUT kind text,                   -- physical, logical
    OUT application_name text,
    OUT usesysid oid,
    OUT usename name,
    OUT client_addr inet,            -- null for a Unix socket
    OUT client_hostname text,
    OUT client_port int,
    OUT backend_start timestamptz,
    OUT state text,                  -- startup, backup, catchup, streaming, stopping
    OUT sent_lsn pg_lsn,
    OUT write_lsn pg_lsn,
    OUT flush_lsn pg_lsn,
    OUT replay_lsn pg_lsn,
    OUT write_lag interval,          -- age of the oldest WAL the standby lacks; null if it lacks none
    OUT flush_lag interval,
    OUT replay_lag interval,
    OUT sent_bytes_behind bigint,    -- distance from the end of the WAL that may be sent
    OUT write_bytes_behind bigint,
    OUT flush_bytes_behind bigint,
    OUT replay_bytes_behind bigint,
    OUT sync_priority int,
    OUT sync_state text,             -- async, potential, sync, quorum
    OUT reply_time timestamptz,      -- by the standby's clock
    OUT reply_age interval,          -- by this server's clock
    OUT slot_name name,
    OUT slot_wal_status text,
    OUT slot_retained_bytes bigint,
    OUT slot_safe_wal_size bigint,
    OUT caught_up boolean
)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'neon_stat_wal_senders'
LANGUAGE C STABLE STRICT PARALLEL RESTRICTED ROWS 10;

COMMENT ON FUNCTION neon_stat_wal_senders() IS 'statistics: active walsenders of this server';

CREATE VIEW neon_stat_replication AS SELECT * FROM neon_stat_wal_senders();

COMMENT ON VIEW neon_stat_replication IS 'statistics: active walsenders of this server';

CREATE FUNCTION neon_oldest_sent_lsn()
RETURNS pg_lsn
AS 'MODULE_PATHNAME', 'neon_oldest_sent_lsn'
LANGUAGE C VOLATILE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION neon_oldest_sent_lsn() IS
    'statistics: the oldest LSN that any walsender has sent up to; null if none has sent WAL';

CREATE FUNCTION neon_oldest_flush_lsn()
RETURNS pg_lsn
AS 'MODULE_PATHNAME', 'neon_oldest_flush_lsn'
LANGUAGE C VOLATILE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION neon_oldest_flush_lsn() IS
    'statistics: the oldest flush LSN of the clients that report one; null if none does';

CREATE FUNCTION neon_walsender_history(
    pid int DEFAULT NULL,                        -- null for every walsender
    OUT sample_time timestamptz,
    OUT pid int,
    OUT application_name text,
    OUT state text,
    OUT state_changed boolean,                   -- since the walsender's preceding sample
    OUT sent_lsn pg_lsn,
    OUT confirmed_lsn pg_lsn,                    -- replayed, or written if the client never replays
    OUT sent_bytes_per_second double precision,  -- since the preceding sample
    OUT applied_bytes_per_second double precision,
    OUT bytes_behind bigint,
    OUT lag interval
)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'neon_walsender_history'
LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 6000;

COMMENT ON FUNCTION neon_walsender_history(int) IS
    'statistics: samples of the last 10 minutes of each walsender';

CREATE FUNCTION neon_walsender_eta(
    pid int DEFAULT NULL,
    OUT pid int,
    OUT application_name text,
    OUT bytes_behind bigint,
    OUT applied_bytes_per_second double precision,
    OUT wal_bytes_per_second double precision,
    OUT eta interval                             -- 0 if caught up; null if falling behind or unknown
)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'neon_walsender_eta'
LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 10;

COMMENT ON FUNCTION neon_walsender_eta(int) IS
    'statistics: time until each walsender''s client catches up, at the rates of the last 30 seconds';

CREATE FUNCTION neon_inactive_slots(
    OUT slot_name name,
    OUT slot_type text,
    OUT inactive_since timestamptz,              -- as far as samples go back
    OUT restart_lsn pg_lsn,
    OUT wal_status text,
    OUT retained_bytes bigint,
    OUT growth_bytes_per_second double precision,
    OUT safe_wal_size bigint,
    OUT disk_free_bytes bigint,
    OUT time_left interval,                      -- at this growth, until the nearer limit
    OUT limited_by text                          -- max_slot_wal_keep_size or disk
)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'neon_inactive_slots'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED ROWS 10;

COMMENT ON FUNCTION neon_inactive_slots() IS
    'statistics: replication slots that no process uses and that retain WAL';

CREATE FUNCTION neon_wait_for_replay(
    lsn pg_lsn,
    timeout interval DEFAULT NULL,               -- null for no limit; 0 to check once
    application_name text DEFAULT NULL           -- null for every connected standby
)
RETURNS boolean
AS 'MODULE_PATHNAME', 'neon_wait_for_replay'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;

COMMENT ON FUNCTION neon_wait_for_replay(pg_lsn, interval, text) IS
    'waits until a standby has replayed an LSN; false if it has not within the timeout';

-- Any role may see that a walsender exists; its details are for monitoring roles.
GRANT SELECT ON neon_stat_replication TO PUBLIC;
REVOKE EXECUTE ON FUNCTION neon_oldest_sent_lsn(), neon_oldest_flush_lsn(),
    neon_walsender_history(int), neon_walsender_eta(int), neon_inactive_slots() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION neon_oldest_sent_lsn(), neon_oldest_flush_lsn(),
    neon_walsender_history(int), neon_walsender_eta(int), neon_inactive_slots()
    TO pg_read_all_stats;
