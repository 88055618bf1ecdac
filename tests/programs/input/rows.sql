PRAGMA journal_mode = WAL;
CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT, value REAL, data BLOB);
BEGIN;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ROWS)
INSERT INTO t SELECT i, printf('name %d', (i * 7919) % ROWS), i * 0.5, zeroblob(i % 50) FROM n;
COMMIT;
CREATE INDEX by_name ON t(name);
CREATE INDEX by_value ON t(value, name);
SELECT count(*), sum(value), min(name), max(name) FROM t;
DELETE FROM t WHERE id % 3 = 0;
UPDATE t SET name = upper(name) WHERE id % 10 = 1;
SELECT name, count(*) FROM t GROUP BY substr(name, 1, 6) ORDER BY 2 DESC, 1 LIMIT 10;
SELECT sum(length(data)), group_concat(DISTINCT length(name)) FROM t WHERE value > 100;
DELETE FROM t;
VACUUM;
PRAGMA integrity_check;
