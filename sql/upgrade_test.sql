-- An upgrade from 1.0 to 1.1 yields the same objects and privileges as a new 1.1.
CREATE EXTENSION neon_redo VERSION '1.0';
SELECT pg_describe_object(classid, objid, 0) AS object
    FROM pg_depend JOIN pg_extension e ON refclassid = 'pg_extension'::regclass AND refobjid = e.oid
    WHERE extname = 'neon_redo' AND deptype = 'e' AND classid <> 'pg_type'::regclass ORDER BY 1;
CREATE TABLE privileges_before AS
    SELECT oid::regprocedure::text AS object, proacl::text AS privileges FROM pg_proc WHERE false;
ALTER EXTENSION neon_redo UPDATE TO '1.1';
SELECT pg_describe_object(classid, objid, 0) AS object
    FROM pg_depend JOIN pg_extension e ON refclassid = 'pg_extension'::regclass AND refobjid = e.oid
    WHERE extname = 'neon_redo' AND deptype = 'e' AND classid <> 'pg_type'::regclass ORDER BY 1;
SELECT extversion FROM pg_extension WHERE extname = 'neon_redo';
INSERT INTO privileges_before
    SELECT oid::regprocedure::text, proacl::text FROM pg_proc WHERE proname LIKE 'neon\_%';
SELECT count(*) FROM neon_stat_replication;
DROP EXTENSION neon_redo;
CREATE EXTENSION neon_redo;
SELECT extversion FROM pg_extension WHERE extname = 'neon_redo';
SELECT count(*) AS objects,
       count(*) FILTER (WHERE p.proacl::text IS NOT DISTINCT FROM b.privileges) AS same
    FROM privileges_before b FULL JOIN
         (SELECT * FROM pg_proc WHERE proname LIKE 'neon\_%') p ON b.object = p.oid::regprocedure::text;
DROP TABLE privileges_before;
DROP EXTENSION neon_redo;
