-- neon_redo_info() shows any role what is installed, whether or not the module was preloaded.
CREATE EXTENSION neon_redo;
SELECT pg_describe_object(classid, objid, 0) AS object
    FROM pg_depend JOIN pg_extension e ON refclassid = 'pg_extension'::regclass AND refobjid = e.oid
    WHERE extname = 'neon_redo' AND deptype = 'e' AND classid <> 'pg_type'::regclass ORDER BY 1;
SELECT module_version, protocol_version, sandbox FROM neon_redo_info();
SELECT server_version_num = current_setting('server_version_num')::int AS built_for_this_server
    FROM neon_redo_info();
CREATE ROLE neon_redo_nobody;
SET ROLE neon_redo_nobody;
SELECT count(*) FROM neon_redo_info();
RESET ROLE;
DROP ROLE neon_redo_nobody;
DROP EXTENSION neon_redo;
