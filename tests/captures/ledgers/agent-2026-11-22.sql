BEGIN TRANSACTION;
CREATE TABLE fact (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE job (
    job_id INTEGER, attempt INTEGER, phase TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (job_id, attempt));
INSERT INTO "job" VALUES(11,1,'running','{"matched": {"job_id": 11, "jdl": "[ Executable = \"/bin/true\"; ]", "owner": "jdoe", "group": "lab_user", "extra": {"DN": "/CN=jdoe"}}, "stamp": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "attempt": 1, "phase": "running", "status": "Running", "minor_status": "Application", "grant": {"processor_ids": [0, 1], "memory_mb": 2000, "whole_node": false}, "task_id": "pool-1", "exit_code": null, "started_at": "2026-11-22T03:00:00+00:00", "wall_s": null, "end": null}');
INSERT INTO "job" VALUES(12,1,'reporting','{"matched": {"job_id": 12, "jdl": "[ Executable = \"/bin/true\"; ]", "owner": "jdoe", "group": "lab_user", "extra": {"DN": "/CN=jdoe"}}, "stamp": "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", "attempt": 1, "phase": "reporting", "status": "Failed", "minor_status": "Application Finished With Errors", "grant": null, "task_id": "", "exit_code": 3, "started_at": "2026-11-22T03:00:00+00:00", "wall_s": 2.5, "end": {"status": "Failed", "minor_status": "Application Finished With Errors", "application_status": "Exit code 3", "blame": "user"}}');
INSERT INTO "job" VALUES(13,1,'closed','{"matched": {"job_id": 13, "jdl": "[ Executable = \"/bin/true\"; ]", "owner": "jdoe", "group": "lab_user", "extra": {"DN": "/CN=jdoe"}}, "stamp": "cccccccccccccccccccccccccccccccc", "attempt": 1, "phase": "closed", "status": "Done", "minor_status": "Execution Complete", "grant": null, "task_id": "", "exit_code": 0, "started_at": "2026-11-22T03:00:00+00:00", "wall_s": 1.5, "end": {"status": "Done", "minor_status": "Execution Complete", "application_status": "", "blame": null}}');
CREATE TABLE report (
    number INTEGER PRIMARY KEY AUTOINCREMENT, job_id INTEGER NOT NULL, kind TEXT NOT NULL, moment TEXT NOT NULL,
    body TEXT NOT NULL);
INSERT INTO "report" VALUES(1,11,'status','2026-11-22 03:00:00.000001','{"Status": "Running", "MinorStatus": "Application", "Source": "JobAgent"}');
INSERT INTO "report" VALUES(2,12,'status','2026-11-22 03:00:03.000001','{"Status": "Failed", "MinorStatus": "Application Finished With Errors", "Source": "JobWrapper"}');
CREATE INDEX job_open ON job (phase) WHERE phase <> 'closed';
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('report',2);
COMMIT;
