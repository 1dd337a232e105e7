-- Content. Small blobs are in `data`; where it is NULL, the bytes are the file blobs/ab/<sha256>.
-- `data` is the last column, so that the others are read without following overflow pages.
-- Ids are given out by `state.next_blob_id` and never used twice.
CREATE TABLE blobs (
  id INTEGER PRIMARY KEY,
  sha256 BLOB NOT NULL,
  size_bytes INTEGER NOT NULL,
  data BLOB
) STRICT;

-- Holds the size too, so that a look-up by digest touches no row.
CREATE UNIQUE INDEX blobs_by_sha256 ON blobs (sha256, size_bytes);

-- Apart from `blobs`: extending the life of a blob must not rewrite a page full of content.
CREATE TABLE blob_uses (
  blob_id INTEGER PRIMARY KEY,
  last_used_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX blob_uses_by_time ON blob_uses (last_used_ms);

-- Every name of content other than its SHA256; with the size, for look-ups as above.
CREATE TABLE digests (
  function TEXT NOT NULL,
  hash BLOB NOT NULL,
  blob_id INTEGER NOT NULL,
  size_bytes INTEGER NOT NULL,
  PRIMARY KEY (function, hash)
) STRICT, WITHOUT ROWID;
CREATE INDEX digests_by_blob ON digests (blob_id);

CREATE TABLE action_results (
  id INTEGER PRIMARY KEY,
  instance TEXT NOT NULL,
  function TEXT NOT NULL,
  hash BLOB NOT NULL,
  size_bytes INTEGER NOT NULL,
  last_used_ms INTEGER NOT NULL,
  result BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX action_results_by_key ON action_results (instance, function, hash, size_bytes);
CREATE INDEX action_results_by_time ON action_results (last_used_ms);

-- Totals, kept up to date by every write, so that a start counts nothing.
CREATE TABLE state (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  next_blob_id INTEGER NOT NULL,
  blobs INTEGER NOT NULL,
  size_bytes INTEGER NOT NULL,
  evicted_blobs INTEGER NOT NULL,
  evicted_bytes INTEGER NOT NULL,
  openings INTEGER NOT NULL,
  action_results INTEGER NOT NULL,
  action_result_bytes INTEGER NOT NULL
) STRICT;
INSERT INTO state VALUES (1, 1, 0, 0, 0, 0, 0, 0, 0);
