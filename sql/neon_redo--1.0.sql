-- The SQL face of neon.so. The script that CREATE EXTENSION runs; tests are in sql/*_test.sql.
\echo Use "CREATE EXTENSION neon_redo" to load this file. \quit

CREATE FUNCTION neon_redo_info(
    OUT module_version text,      -- of neon.so
    OUT server_version_num int,   -- of the server headers it was compiled with
    OUT protocol_version int,     -- of the redo worker's pipe protocol
    OUT sandbox text              -- the layers that confine a redo worker
)
AS 'MODULE_PATHNAME', 'neon_redo_info'
LANGUAGE C STABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION neon_redo_info() IS 'what this build of neon_redo is';
