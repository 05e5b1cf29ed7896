-- neon_redo_info() shows any role what is installed, whether or not the module was preloaded.
CREATE EXTENSION neon_redo;
\dx+ neon_redo
SELECT module_version, server_version_num / 10000 AS major, protocol_version, sandbox
    FROM neon_redo_info();
SELECT server_version_num = current_setting('server_version_num')::int AS built_for_this_server
    FROM neon_redo_info();
CREATE ROLE neon_redo_nobody;
SET ROLE neon_redo_nobody;
SELECT count(*) FROM neon_redo_info();
RESET ROLE;
DROP ROLE neon_redo_nobody;
DROP EXTENSION neon_redo;
