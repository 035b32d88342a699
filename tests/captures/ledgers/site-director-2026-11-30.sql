BEGIN TRANSACTION;
CREATE TABLE fact (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE hold (queue TEXT PRIMARY KEY, reason TEXT NOT NULL);
INSERT INTO "hold" VALUES('ce.example.org/short','by hand');
CREATE TABLE outbox (
    number INTEGER PRIMARY KEY AUTOINCREMENT, stamp TEXT NOT NULL, status TEXT NOT NULL, reason TEXT NOT NULL);
INSERT INTO "outbox" VALUES(1,'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa','Running','');
CREATE TABLE pilot (
    stamp TEXT PRIMARY KEY, queue TEXT NOT NULL, state TEXT NOT NULL, decided_s REAL NOT NULL, ended_s REAL NOT NULL,
    body TEXT NOT NULL);
INSERT INTO "pilot" VALUES('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa','ce.example.org/long','Running',100.0,0.0,'{"stamp": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "queue": "ce.example.org/long", "processors": 2, "state": "Running", "decided_s": 100.0, "submitted_s": 101.0, "started_s": 110.0, "ended_s": 0.0, "task_id": "42", "is_probe": false, "jobs": 0, "is_busy": false, "busy_since_s": 0.0, "idle_since_s": 0.0, "met_work": false, "is_told": false, "found_work": null, "why": "", "is_fetched": false}');
INSERT INTO "pilot" VALUES('bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb','ce.example.org/long','Submitting',105.0,0.0,'{"stamp": "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", "queue": "ce.example.org/long", "processors": 2, "state": "Submitting", "decided_s": 105.0, "submitted_s": 0.0, "started_s": 0.0, "ended_s": 0.0, "task_id": "", "is_probe": false, "jobs": 0, "is_busy": false, "busy_since_s": 0.0, "idle_since_s": 0.0, "met_work": false, "is_told": false, "found_work": null, "why": "", "is_fetched": false}');
INSERT INTO "pilot" VALUES('cccccccccccccccccccccccccccccccc','ce.example.org/long','Done',50.0,90.0,'{"stamp": "cccccccccccccccccccccccccccccccc", "queue": "ce.example.org/long", "processors": 2, "state": "Done", "decided_s": 50.0, "submitted_s": 51.0, "started_s": 60.0, "ended_s": 90.0, "task_id": "", "is_probe": false, "jobs": 3, "is_busy": false, "busy_since_s": 0.0, "idle_since_s": 0.0, "met_work": false, "is_told": false, "found_work": null, "why": "", "is_fetched": false}');
CREATE INDEX pilot_state ON pilot (state);
CREATE INDEX pilot_queue ON pilot (queue, decided_s);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('outbox',1);
COMMIT;
