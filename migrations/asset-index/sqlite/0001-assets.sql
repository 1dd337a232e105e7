-- One row a known mapping from URI and qualifiers to content.
CREATE TABLE assets (
  id INTEGER PRIMARY KEY,
  -- SHA-256 over kind, instance, digest function, URI and stable qualifiers.
  key BLOB NOT NULL,
  -- Empty, or a keyed hash of the headers that brought the content.
  scope TEXT NOT NULL,
  -- SHA-256 over kind, instance, digest function and URI, for the search by superset.
  uri_key BLOB NOT NULL,
  kind TEXT NOT NULL,
  instance TEXT NOT NULL,
  uri TEXT NOT NULL,
  -- JSON array of [name, value], sorted.
  qualifiers TEXT NOT NULL,
  digest_function TEXT NOT NULL,
  hash TEXT NOT NULL,
  size_bytes INTEGER NOT NULL,
  source TEXT NOT NULL,
  retrieved_at_ms INTEGER NOT NULL,
  expires_at_ms INTEGER,
  etag TEXT,
  last_modified TEXT,
  final_uri TEXT,
  -- JSON array of [name, value]: what the answer adds.
  resolved TEXT NOT NULL
);

CREATE UNIQUE INDEX assets_by_key ON assets (key, scope);
CREATE INDEX assets_pushed_by_uri ON assets (uri_key) WHERE source = 'pushed';

CREATE TABLE settings (
  name TEXT PRIMARY KEY,
  value BLOB NOT NULL
) WITHOUT ROWID;
