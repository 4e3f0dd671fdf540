PRAGMA user_version = 1;
PRAGMA application_id = 1869767528;
BEGIN TRANSACTION;
CREATE TABLE accounts (
        scope TEXT PRIMARY KEY,
        limit_usd TEXT,
        hold_limit_usd TEXT,
        spent_usd TEXT NOT NULL,
        held_usd TEXT NOT NULL,
        in_doubt_usd TEXT NOT NULL,
        overrun_usd TEXT NOT NULL,
        noted_usd TEXT NOT NULL
    ) WITHOUT ROWID;
INSERT INTO "accounts" VALUES('notebook:support.ipynb','1.00',NULL,'0.00131','0.00000','0.0015','0.00005','0.00005');
INSERT INTO "accounts" VALUES('run:1','0.50',NULL,'0.00131','0.00000','0','0.00005','0');
INSERT INTO "accounts" VALUES('run:1/node:billing',NULL,NULL,'0.00110','0.00000','0','0.00005','0');
INSERT INTO "accounts" VALUES('run:1/node:triage',NULL,NULL,'0.00021','0.00000','0','0.00000','0');
INSERT INTO "accounts" VALUES('run:3',NULL,NULL,'0','0.0000','0.0015','0','0');
INSERT INTO "accounts" VALUES('run:3/node:writer',NULL,NULL,'0','0.0000','0.0015','0','0');
CREATE TABLE blobs (id INTEGER PRIMARY KEY, kind INTEGER NOT NULL, sum INTEGER NOT NULL, body NOT NULL);
INSERT INTO "blobs" VALUES(4294967297,0,2390843770,'{"name":"support","nodes":[{"name":"triage","kind":"agent","reads":[{"name":"ticket","source":"input","ref":"ticket"}],"spec":{"prompt":"Classify. {{ ticket }}","out":{"category":"billing | technical"},"model":"small"},"fingerprint":"11111111111111111111111111111111","chooser":{"how":"field","read":{"name":"by","source":"node","ref":"triage","path":["category"]},"candidates":["billing","technical"]}},{"name":"billing","kind":"agent","fingerprint":"22222222222222222222222222222222","writes":{"findings":"append"}},{"name":"technical","kind":"agent","fingerprint":"33333333333333333333333333333333"},{"name":"approve","kind":"human","spec":{"question":"Send it?"},"gate":"triage.confidence < 0.8","gate_reads":[{"name":"triage.confidence","source":"node","ref":"triage","path":["confidence"]}]},{"name":"send","kind":"function","function":"send","source_hash":"44444444444444444444444444444444","effects":["message"]}],"edges":[{"source":"triage","target":"billing","kind":"by"},{"source":"triage","target":"technical","kind":"by"},{"source":"billing","target":"approve"},{"source":"technical","target":"approve"},{"source":"approve","target":"send"}],"inputs":["ticket"],"out":["send"],"groups":{"specialist":["billing","technical"]},"state":{"findings":{"reducer":"append"}}}');
INSERT INTO "blobs" VALUES(8589934593,0,1444253865,'{"name":"research","nodes":[{"name":"plan","kind":"agent"},{"name":"worker","kind":"graph","each":{"name":"task","source":"node","ref":"plan","path":["tasks"]},"each_as":"task"},{"name":"report","kind":"function"}],"edges":[{"source":"plan","target":"worker"},{"source":"worker","target":"report"}],"state":{"seen":{"reducer":"append"}},"subplans":{"worker":{"name":"worker","nodes":[{"name":"look","kind":"function"}],"edges":[]}}}');
INSERT INTO "blobs" VALUES(8589934594,0,1724036908,'{"name":"grown","nodes":[{"name":"look","kind":"function"},{"name":"again","kind":"function"}],"edges":[{"source":"look","target":"again"}]}');
INSERT INTO "blobs" VALUES(8589934595,1,2322300164,'Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. Acme has two rivals. ');
INSERT INTO "blobs" VALUES(12884901889,0,3163999525,'{"name":"draft","nodes":[{"name":"writer","kind":"agent","budget_usd":"0.01"}],"edges":[]}');
CREATE TABLE carried (
        scope TEXT PRIMARY KEY,
        spent_usd TEXT NOT NULL,
        in_doubt_usd TEXT NOT NULL,
        overrun_usd TEXT NOT NULL
    ) WITHOUT ROWID;
CREATE TABLE events (
        id INTEGER PRIMARY KEY,
        type TEXT NOT NULL,
        schema INTEGER NOT NULL,
        at REAL NOT NULL,
        fingerprint TEXT,
        money TEXT,
        sum INTEGER NOT NULL,
        body TEXT NOT NULL
    );
INSERT INTO "events" VALUES(4294967297,'run_started',1,1763700000.0,NULL,NULL,1118964677,'{"run":"1","graph":"support","inputs":{"ticket":"My payment failed but I was charged anyway – €12,50"},"limit_usd":"0.50","notebook":"support.ipynb","version":"0.1.0","plan":{"$blob":4294967297}}');
INSERT INTO "events" VALUES(4294967298,'sent',1,1763700000.1,'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa','{"hold":"triage:0","asked":"0.00042","scopes":["notebook:support.ipynb","run:1","run:1/node:triage"]}',2324071596,'{"node":"triage","call":0,"kind":"model","target":"small","request":[{"role":"system","content":"You are triage."},{"role":"user","content":"My payment failed"}],"reserved_usd":"0.00042","reserved_tokens":512,"queued_s":0.02,"idempotency_key":"1/triage/0","route":{"chosen":"small","why":"cheapest that fits","candidates":[{"model":"small","usd":"0.00042"},{"model":"big","usd":"0.0061","refused":"dearer"}]},"fingerprint":"cccccccccccccccccccccccccccccccc"}');
INSERT INTO "events" VALUES(4294967299,'settled',1,1763700001.2,NULL,'{"hold":"triage:0","spent":"0.00021","overrun":"0"}',427197213,'{"node":"triage","call":0,"reply":{"text":"{\"category\":\"billing\",\"confidence\":0.62}","tool_calls":[]},"usage":{"input_tokens":120,"output_tokens":14},"cost_usd":"0.00021","finish_reason":"stop","first_token_s":0.35,"price":"genai-prices 2026-11-01"}');
INSERT INTO "events" VALUES(4294967300,'finished',1,1763700001.2,'dddddddddddddddddddddddddddddddd',NULL,3013359635,'{"node":"triage","value":{"category":"billing","confidence":0.62},"started_at":1763700000.1,"taken":[0],"queued_s":0.02,"decision":{"by":"field","value":"billing"}}');
INSERT INTO "events" VALUES(4294967301,'sent',1,1763700001.3,'bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb','{"hold":"billing:0","asked":"0.00100","scopes":["notebook:support.ipynb","run:1","run:1/node:billing"]}',1498431955,'{"node":"billing","call":0,"kind":"model","target":"small","request":[{"role":"system","content":"You are triage."},{"role":"user","content":"My payment failed"}],"reserved_usd":"0.00100","reserved_tokens":512,"idempotency_key":"1/billing/0","fingerprint":"cccccccccccccccccccccccccccccccc"}');
INSERT INTO "events" VALUES(4294967302,'settled',1,1763700001.9,NULL,'{"hold":"billing:0","spent":"0.00010","overrun":"0"}',1116171133,'{"node":"billing","call":0,"ok":false,"cost_usd":"0.00010","error":{"code":"ORCH302","type":"RateLimited","message":"too many requests (429)","failure":"transient","hint":"wait 2 s","retry_after_s":2.0},"note":"retry"}');
INSERT INTO "events" VALUES(4294967303,'sent',1,1763700003.9,'bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb','{"hold":"billing:1","asked":"0.00100","scopes":["notebook:support.ipynb","run:1","run:1/node:billing"]}',4148130193,'{"node":"billing","call":1,"kind":"model","target":"small","request":[{"role":"system","content":"You are triage."},{"role":"user","content":"My payment failed"}],"reserved_usd":"0.00100","reserved_tokens":512,"attempt":2,"idempotency_key":"1/billing/1","fingerprint":"cccccccccccccccccccccccccccccccc"}');
INSERT INTO "events" VALUES(4294967304,'settled',1,1763700005.0,NULL,'{"hold":"billing:1","spent":"0.00100","overrun":"0.00005"}',2661006426,'{"node":"billing","call":1,"reply":{"text":"We refunded you.","tool_calls":[{"id":"c1","name":"refund","arguments":"{\"usd\": 12.5}"}]},"usage":{"input_tokens":200,"output_tokens":60,"cached_tokens":40,"reasoning_tokens":10,"estimated":true,"bad":"cached_tokens was -1"},"cost_usd":"0.00100","overrun_usd":"0.00005","finish_reason":"tool_calls","first_token_s":0.4,"price":"genai-prices 2026-11-01","note":"billed above its reservation"}');
INSERT INTO "events" VALUES(4294967305,'finished',1,1763700005.1,'eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee',NULL,672984269,'{"node":"billing","value":{"answer":"We refunded you."},"started_at":1763700001.3,"writes":{"findings":["refund"]},"attempt":2}');
INSERT INTO "events" VALUES(4294967306,'waiting',1,1763700005.2,NULL,NULL,2955730498,'{"node":"approve","question":"Send it?","shown":{"answer":"We refunded you."},"shown_hash":"ffffffffffffffffffffffffffffffff","fingerprint":"00000000000000000000000000000000"}');
INSERT INTO "events" VALUES(4294967307,'answered',1,1763700065.0,NULL,NULL,275941591,'{"node":"approve","action":"edit","value":{"answer":"We have refunded you."},"by":"ann","shown_hash":"ffffffffffffffffffffffffffffffff","taken":[0],"comment":"tense","diff":"-We refunded\n+We have refunded"}');
INSERT INTO "events" VALUES(4294967308,'sent',1,1763700065.1,'bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb',NULL,716577970,'{"node":"send","call":0,"kind":"effect","target":"message","request":{"answer":"We have refunded you."},"reserved_tokens":512,"idempotency_key":"1/send/0","fingerprint":"cccccccccccccccccccccccccccccccc"}');
INSERT INTO "events" VALUES(4294967309,'settled',1,1763700065.2,NULL,NULL,2328303776,'{"node":"send","call":0}');
INSERT INTO "events" VALUES(4294967310,'finished',1,1763700065.2,NULL,NULL,512335194,'{"node":"send","value":{"sent":true},"started_at":1763700065.1}');
INSERT INTO "events" VALUES(4294967311,'run_ended',1,1763700065.3,NULL,NULL,2803067650,'{"status":"done","output":{"sent":true}}');
INSERT INTO "events" VALUES(8589934593,'run_started',1,1763700100.0,NULL,NULL,1806029280,'{"run":"2","graph":"research","inputs":{"company":"Acme"},"notebook":"research.ipynb","parent":{"run":"1","seq":4},"version":"0.1.0","attended":false,"plan":{"$blob":8589934593}}');
INSERT INTO "events" VALUES(8589934594,'reused',1,1763700100.1,'55555555555555555555555555555555',NULL,629712059,'{"node":"plan","value":{"tasks":["market","rivals"]},"source":{"run":"1","seq":4},"writes":{"seen":["plan"]},"saved_usd":"0.0031"}');
INSERT INTO "events" VALUES(8589934595,'mapped',1,1763700100.2,NULL,NULL,1248233196,'{"node":"worker","count":2}');
INSERT INTO "events" VALUES(8589934596,'opened',1,1763700100.3,NULL,NULL,950382848,'{"node":"worker","item":0,"inputs":{"task":"market"},"started_at":1763700100.2,"fingerprint":"66666666666666666666666666666666"}');
INSERT INTO "events" VALUES(8589934597,'opened',1,1763700100.3,NULL,NULL,4162833670,'{"node":"worker","item":1,"inputs":{"task":"rivals"},"started_at":1763700100.2,"plan":{"$blob":8589934594}}');
INSERT INTO "events" VALUES(8589934598,'finished',1,1763700100.5,'77777777777777777777777777777777',NULL,2418543333,'{"frame":"worker[1][0]","node":"look","value":{"text":"growing","raw":{"$bytes":"AP9wZGY="},"$$ref":"#/x"},"started_at":1763700100.3}');
INSERT INTO "events" VALUES(8589934599,'finished',1,1763700100.6,NULL,NULL,2038689214,'{"frame":"worker[1][1]","node":"look","value":[1,2.5,null,true,"é😀"],"started_at":1763700100.3}');
INSERT INTO "events" VALUES(8589934600,'failed',1,1763700102.7,NULL,NULL,3340981679,'{"frame":"worker[1][1]","node":"again","error":{"code":"ORCH203","type":"NodeTimeout","message":"`again` took longer than 2 s","failure":"transient"},"started_at":1763700100.7,"final":false,"retry_at":1763700103.0,"fingerprint":"88888888888888888888888888888888"}');
INSERT INTO "events" VALUES(8589934601,'finished',1,1763700104.0,NULL,NULL,901354491,'{"frame":"worker[1][1]","node":"again","value":{"$blob":8589934595},"started_at":1763700103.0,"attempt":2}');
INSERT INTO "events" VALUES(8589934602,'finished',1,1763700104.1,NULL,NULL,1386941473,'{"node":"worker","item":0,"value":"growing","started_at":1763700100.2}');
INSERT INTO "events" VALUES(8589934603,'finished',1,1763700104.1,NULL,NULL,3399016323,'{"node":"worker","item":1,"value":"two rivals","started_at":1763700100.2}');
INSERT INTO "events" VALUES(8589934604,'failed',1,1763700104.3,NULL,NULL,1168217019,'{"node":"report","error":{"code":"ORCH202","type":"NodeFailed","message":"ZeroDivisionError: division by zero","hint":"look at line 3"},"started_at":1763700104.2,"taken":[]}');
INSERT INTO "events" VALUES(8589934605,'run_ended',1,1763700104.4,NULL,NULL,4857482,'{"status":"failed","error":{"code":"ORCH202","type":"NodeFailed","message":"ZeroDivisionError: division by zero","hint":"look at line 3"},"node":"report"}');
INSERT INTO "events" VALUES(12884901889,'run_started',1,1763700200.0,NULL,NULL,1337862935,'{"run":"3","graph":"draft","inputs":{},"limit_usd":"0.002","plan":{"$blob":12884901889}}');
INSERT INTO "events" VALUES(12884901890,'sent',1,1763700200.1,'bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb','{"hold":"writer:0","asked":"0.0015","scopes":["notebook:support.ipynb","run:3","run:3/node:writer"]}',3366022023,'{"node":"writer","call":0,"kind":"model","target":"small","request":[{"role":"system","content":"You are triage."},{"role":"user","content":"My payment failed"}],"reserved_usd":"0.0015","reserved_tokens":512,"idempotency_key":"1/writer/0","fingerprint":"cccccccccccccccccccccccccccccccc"}');
INSERT INTO "events" VALUES(12884901891,'resumed',1,1763700260.0,NULL,NULL,1874925760,'{"attended":false}');
INSERT INTO "events" VALUES(12884901892,'refused',1,1763700260.1,NULL,NULL,2069293795,'{"node":"writer","scope":"run:3","limit_usd":"0.002","spent_usd":"0.0015","held_usd":"0","asked_usd":"0.0015"}');
INSERT INTO "events" VALUES(12884901893,'failed',1,1763700260.1,NULL,NULL,3507084169,'{"node":"writer","error":{"code":"ORCH201","type":"BudgetExceeded","message":"`writer` asks for up to $0.001500"},"started_at":1763700260.0}');
INSERT INTO "events" VALUES(12884901894,'run_ended',1,1763700260.2,NULL,NULL,2615342696,'{"status":"failed","error":{"code":"ORCH201","type":"BudgetExceeded","message":"`writer` asks for up to $0.001500"},"node":"writer"}');
INSERT INTO "events" VALUES(12884901895,'resumed',1,1763700300.0,NULL,NULL,3410974595,'{}');
INSERT INTO "events" VALUES(12884901896,'limit_changed',1,1763700300.0,NULL,NULL,3722464799,'{"limit_usd":"0.010"}');
INSERT INTO "events" VALUES(12884901897,'sent',1,1763700300.1,'bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb','{"hold":"writer:1","asked":"0.0015","scopes":["notebook:support.ipynb","run:3","run:3/node:writer"]}',3998308704,'{"node":"writer","call":1,"kind":"model","target":"small","request":[{"role":"system","content":"You are triage."},{"role":"user","content":"My payment failed"}],"reserved_usd":"0.0015","reserved_tokens":512,"idempotency_key":"1/writer/1","fingerprint":"cccccccccccccccccccccccccccccccc"}');
INSERT INTO "events" VALUES(12884901898,'settled',1,1763700301.0,NULL,'{"hold":"writer:1","spent":"0","overrun":"0"}',3375554596,'{"node":"writer","call":1,"reply":{"text":"Done."},"cost_usd":null,"note":"price unknown"}');
INSERT INTO "events" VALUES(12884901899,'limit_changed',1,1763700301.5,NULL,NULL,1119328833,'{"limit_usd":null}');
INSERT INTO "events" VALUES(12884901900,'finished',1,1763700301.0,NULL,NULL,249797431,'{"node":"writer","value":"Done.","started_at":1763700300.1}');
INSERT INTO "events" VALUES(12884901901,'run_ended',1,1763700302.0,NULL,NULL,4046707847,'{"status":"cancelled"}');
CREATE TABLE hashes (hash BLOB PRIMARY KEY, blob INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO "hashes" VALUES(X'08E338E5606B46A1901EBB2137661F49',4294967297);
INSERT INTO "hashes" VALUES(X'2FD5FB8220CCA4641A2B7B34968C36D9',8589934595);
INSERT INTO "hashes" VALUES(X'5FE35B2660047340BDB2DABB4D79B305',12884901889);
INSERT INTO "hashes" VALUES(X'B87F26CF3384F69E967D2BBDE950C26D',8589934594);
INSERT INTO "hashes" VALUES(X'D3150091634515D617A52F7691BC3BEC',8589934593);
CREATE TABLE holds (
        run INTEGER NOT NULL,
        hold TEXT NOT NULL,
        asked_usd TEXT NOT NULL,
        scopes TEXT NOT NULL,
        doubted INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (run, hold)
    ) WITHOUT ROWID;
INSERT INTO "holds" VALUES(3,'writer:0','0.0015','["notebook:support.ipynb", "run:3", "run:3/node:writer"]',1);
CREATE TABLE migrations (number INTEGER PRIMARY KEY, name TEXT NOT NULL, at REAL NOT NULL);
INSERT INTO "migrations" VALUES(1,'m001_tables',1763700000.0);
CREATE TABLE runs (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT UNIQUE,
        graph TEXT NOT NULL DEFAULT '',
        notebook TEXT NOT NULL DEFAULT '',
        status TEXT NOT NULL DEFAULT '',
        started_at REAL,
        ended_at REAL,
        parent TEXT,
        nodes INTEGER NOT NULL DEFAULT 0,
        node TEXT NOT NULL DEFAULT '',
        error TEXT,
        waiting TEXT NOT NULL DEFAULT '[]',
        writer TEXT NOT NULL DEFAULT ''
    );
INSERT INTO "runs" VALUES(1,NULL,'support','support.ipynb','done',1763700000.0,1763700065.3,NULL,5,'',NULL,'[]','1@machine');
INSERT INTO "runs" VALUES(2,NULL,'research','research.ipynb','failed',1763700100.0,1763700104.4,'{"run":"1","seq":4}',3,'report','{"code":"ORCH202","type":"NodeFailed","message":"ZeroDivisionError: division by zero","failure":"catastrophic","hint":"look at line 3","retry_after_s":null}','[]','1@machine');
INSERT INTO "runs" VALUES(3,NULL,'draft','','cancelled',1763700200.0,1763700302.0,NULL,1,'',NULL,'[]','1@machine');
CREATE INDEX runs_notebook ON runs (notebook);
CREATE INDEX events_fingerprint ON events (fingerprint) WHERE fingerprint IS NOT NULL;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('runs',3);
COMMIT;
