CREATE TABLE `project` (
  `id` text PRIMARY KEY,
  `worktree` text NOT NULL,
  `vcs` text,
  `name` text,
  `icon_url` text,
  `icon_url_override` text,
  `icon_color` text,
  `time_created` integer NOT NULL,
  `time_updated` integer NOT NULL,
  `time_initialized` integer,
  `sandboxes` text NOT NULL,
  `commands` text
);
CREATE TABLE `session` (
  `id` text PRIMARY KEY,
  `project_id` text NOT NULL,
  `workspace_id` text,
  `parent_id` text,
  `slug` text NOT NULL,
  `directory` text NOT NULL,
  `path` text,
  `title` text NOT NULL,
  `version` text NOT NULL,
  `share_url` text,
  `summary_additions` integer,
  `summary_deletions` integer,
  `summary_files` integer,
  `summary_diffs` text,
  `metadata` text,
  `cost` real DEFAULT 0 NOT NULL,
  `tokens_input` integer DEFAULT 0 NOT NULL,
  `tokens_output` integer DEFAULT 0 NOT NULL,
  `tokens_reasoning` integer DEFAULT 0 NOT NULL,
  `tokens_cache_read` integer DEFAULT 0 NOT NULL,
  `tokens_cache_write` integer DEFAULT 0 NOT NULL,
  `revert` text,
  `permission` text,
  `agent` text,
  `model` text,
  `time_created` integer NOT NULL,
  `time_updated` integer NOT NULL,
  `time_compacting` integer,
  `time_archived` integer,
  CONSTRAINT `fk_session_project_id_project_id_fk` FOREIGN KEY (`project_id`) REFERENCES `project`(`id`) ON DELETE CASCADE
);
CREATE TABLE `message` (
  `id` text PRIMARY KEY,
  `session_id` text NOT NULL,
  `time_created` integer NOT NULL,
  `time_updated` integer NOT NULL,
  `data` text NOT NULL,
  CONSTRAINT `fk_message_session_id_session_id_fk` FOREIGN KEY (`session_id`) REFERENCES `session`(`id`) ON DELETE CASCADE
);
CREATE TABLE `part` (
  `id` text PRIMARY KEY,
  `message_id` text NOT NULL,
  `session_id` text NOT NULL,
  `time_created` integer NOT NULL,
  `time_updated` integer NOT NULL,
  `data` text NOT NULL,
  CONSTRAINT `fk_part_message_id_message_id_fk` FOREIGN KEY (`message_id`) REFERENCES `message`(`id`) ON DELETE CASCADE
);
CREATE INDEX `message_session_time_created_id_idx` ON `message` (`session_id`,`time_created`,`id`);
CREATE INDEX `part_message_id_id_idx` ON `part` (`message_id`,`id`);
CREATE INDEX `part_session_idx` ON `part` (`session_id`);
CREATE INDEX `session_project_idx` ON `session` (`project_id`);
CREATE INDEX `session_workspace_idx` ON `session` (`workspace_id`);
CREATE INDEX `session_parent_idx` ON `session` (`parent_id`);
INSERT INTO project VALUES('global','/',NULL,NULL,NULL,NULL,NULL,1795348244306,1795348244306,NULL,'[]',NULL);
INSERT INTO session VALUES('ses_dfce7c91cffepoquAkkgtZNc1X','global',NULL,NULL,'swift-rocket','/home/dev/project','home/dev/project','I look first','1.18.33',NULL,0,0,0,NULL,NULL,0.0,200,40,0,0,0,NULL,'[{"permission":"question","pattern":"*","action":"deny"},{"permission":"plan_enter","pattern":"*","action":"deny"},{"permission":"plan_exit","pattern":"*","action":"deny"}]','build','{"id":"scripted","providerID":"rig","variant":"default"}',1795348248292,1795348268902,NULL,NULL);
INSERT INTO message VALUES('msg_2031839130018QLzk6iCajbM45','ses_dfce7c91cffepoquAkkgtZNc1X',1795348248851,1795348269317,'{"role":"user","time":{"created":1795348248851},"agent":"build","model":{"providerID":"rig","modelID":"scripted"},"summary":{"diffs":[]}}');
INSERT INTO message VALUES('msg_2031857c3001jg3H7QbFS2UDlx','ses_dfce7c91cffepoquAkkgtZNc1X',1795348256707,1795348266885,'{"parentID":"msg_2031839130018QLzk6iCajbM45","role":"assistant","mode":"build","agent":"build","path":{"cwd":"/home/dev/project","root":"/"},"cost":0,"tokens":{"total":120,"input":100,"output":20,"reasoning":0,"cache":{"write":0,"read":0}},"modelID":"scripted","providerID":"rig","time":{"created":1795348256707,"completed":1795348266783},"finish":"tool-calls"}');
INSERT INTO message VALUES('msg_20318820d001aPCaVuyrD7gdjb','ses_dfce7c91cffepoquAkkgtZNc1X',1795348267534,1795348268551,'{"parentID":"msg_2031839130018QLzk6iCajbM45","role":"assistant","mode":"build","agent":"build","path":{"cwd":"/home/dev/project","root":"/"},"cost":0,"tokens":{"total":120,"input":100,"output":20,"reasoning":0,"cache":{"write":0,"read":0}},"modelID":"scripted","providerID":"rig","time":{"created":1795348267534,"completed":1795348268550},"finish":"stop"}');
INSERT INTO part VALUES('prt_203183969001I1dsYb2UvNdX43','msg_2031839130018QLzk6iCajbM45','ses_dfce7c91cffepoquAkkgtZNc1X',1795348248967,1795348248991,'{"type":"text","text":"\"THINK let me look\nSAY I look first\nSHELL echo plain-tool\nSAY all is well\""}');
INSERT INTO part VALUES('prt_203186af3001j0vWc6YB2fUmCC','msg_2031857c3001jg3H7QbFS2UDlx','ses_dfce7c91cffepoquAkkgtZNc1X',1795348261620,1795348261639,'{"type":"step-start"}');
INSERT INTO part VALUES('prt_203186b2a001JsOo2hhNObunkR','msg_2031857c3001jg3H7QbFS2UDlx','ses_dfce7c91cffepoquAkkgtZNc1X',1795348261674,1795348261999,'{"type":"text","text":"I look first","time":{"start":1795348261674,"end":1795348261997}}');
INSERT INTO part VALUES('prt_203186b6c001n6i9n1y04tdDt5','msg_2031857c3001jg3H7QbFS2UDlx','ses_dfce7c91cffepoquAkkgtZNc1X',1795348261740,1795348265794,'{"type":"tool","tool":"bash","callID":"call_57c314ae765a47a387ca","state":{"status":"completed","input":{"command":"echo plain-tool","description":"scripted"},"output":"plain-tool\n","metadata":{"output":"plain-tool\n","exit":0,"truncated":false},"title":"echo plain-tool","time":{"start":1795348261900,"end":1795348265715}}}');
INSERT INTO part VALUES('prt_203187cb1001r0bdjuUwFZmb6K','msg_2031857c3001jg3H7QbFS2UDlx','ses_dfce7c91cffepoquAkkgtZNc1X',1795348266169,1795348266206,'{"reason":"tool-calls","type":"step-finish","tokens":{"total":120,"input":100,"output":20,"reasoning":0,"cache":{"write":0,"read":0}},"cost":0}');
INSERT INTO part VALUES('prt_20318852f00136EHGOtfeanzIc','msg_20318820d001aPCaVuyrD7gdjb','ses_dfce7c91cffepoquAkkgtZNc1X',1795348268335,1795348268352,'{"type":"step-start"}');
INSERT INTO part VALUES('prt_203188561001nX8AqHWAeLD0yC','msg_20318820d001aPCaVuyrD7gdjb','ses_dfce7c91cffepoquAkkgtZNc1X',1795348268386,1795348268444,'{"type":"text","text":"all is well\"","time":{"start":1795348268385,"end":1795348268430}}');
INSERT INTO part VALUES('prt_2031885d0001BiIyWXnn2CsiAl','msg_20318820d001aPCaVuyrD7gdjb','ses_dfce7c91cffepoquAkkgtZNc1X',1795348268496,1795348268515,'{"reason":"stop","type":"step-finish","tokens":{"total":120,"input":100,"output":20,"reasoning":0,"cache":{"write":0,"read":0}},"cost":0}');
