-- SQL functions of neon.so. CREATE EXTENSION runs this script; tests are in sql/*_test.sql.
\echo Use "CREATE EXTENSION neon_redo" to load this file. \quit

CREATE FUNCTION neon_redo_info(
    OUT module_version text,      -- version of neon.so
    OUT server_version_num int,   -- version of the server headers that neon.so was compiled with
    OUT protocol_version int,     -- version of the redo worker's pipe protocol
    OUT sandbox text              -- layers of a redo worker's sandbox that are on by default
)
AS 'MODULE_PATHNAME', 'neon_redo_info'
LANGUAGE C STABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION neon_redo_info() IS 'versions of this build of neon_redo, and the sandbox of its redo workers';
