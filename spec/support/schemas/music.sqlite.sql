-- A music shop as people make them by hand on SQLite: types that SQLite takes as they come, keys without AUTOINCREMENT,
-- constraints without names.
CREATE TABLE [Artist] (
  [ArtistId] INTEGER NOT NULL,
  [Name] NVARCHAR(120),
  CONSTRAINT [PK_Artist] PRIMARY KEY ([ArtistId])
);
CREATE TABLE [Album] (
  [AlbumId] INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
  [Title] NVARCHAR(160) NOT NULL,
  [ArtistId] INTEGER NOT NULL,
  [Released] DATE,
  FOREIGN KEY ([ArtistId]) REFERENCES [Artist] ([ArtistId]) ON DELETE CASCADE ON UPDATE NO ACTION
);
CREATE INDEX [IFK_AlbumArtistId] ON [Album] ([ArtistId]);
CREATE UNIQUE INDEX album_title_lower ON Album (lower(Title), ArtistId DESC);
CREATE TABLE "Genre" (
  "GenreId" INTEGER PRIMARY KEY,
  "Name" NVARCHAR(120) NOT NULL UNIQUE COLLATE NOCASE,
  "ParentId" INTEGER REFERENCES "Genre" ON DELETE SET NULL
);
CREATE TABLE MediaType (
  MediaTypeId INTEGER PRIMARY KEY AUTOINCREMENT,
  Name TEXT NOT NULL DEFAULT 'it''s unknown',
  kind TEXT NOT NULL DEFAULT 'audio' CHECK (kind IN ('audio', 'video', 'it''s both'))
);
CREATE TABLE Employee (
  EmployeeId INTEGER PRIMARY KEY,
  LastName NVARCHAR(20) NOT NULL,
  FirstName NVARCHAR(20) NOT NULL,
  ReportsTo INTEGER REFERENCES Employee (EmployeeId) DEFERRABLE INITIALLY DEFERRED,
  BirthDate DATETIME,
  HireDate DATETIME DEFAULT CURRENT_TIMESTAMP,
  FullName TEXT GENERATED ALWAYS AS (FirstName || ' ' || LastName) STORED,
  Initials TEXT AS (substr(FirstName, 1, 1) || substr(LastName, 1, 1)),
  office INTEGER REFERENCES office
);
CREATE TABLE office (
  id INTEGER PRIMARY KEY,
  city TEXT NOT NULL,
  head INTEGER NOT NULL UNIQUE REFERENCES Employee ON DELETE RESTRICT ON UPDATE CASCADE
);
CREATE TABLE Customer (
  CustomerId INTEGER PRIMARY KEY,
  FirstName NVARCHAR(40) NOT NULL,
  Email VARCHAR(60) NOT NULL CONSTRAINT customer_email_has_at CHECK (Email LIKE '%@%'),
  Country CHAR(2),
  SupportRepId INT REFERENCES Employee ON DELETE SET NULL,
  settings JSON NOT NULL DEFAULT '{"theme": "it''s dark"}',
  photo BLOB,
  active BOOLEAN NOT NULL DEFAULT 1,
  score DOUBLE NOT NULL DEFAULT 0.5,
  ratio FLOAT,
  anything
);
CREATE UNIQUE INDEX customer_email_active ON Customer (Email) WHERE active;
CREATE TABLE Invoice (
  InvoiceId INTEGER PRIMARY KEY,
  CustomerId INTEGER NOT NULL REFERENCES Customer ON DELETE RESTRICT,
  InvoiceDate DATETIME NOT NULL,
  Total NUMERIC(10,2) NOT NULL DEFAULT 0,
  state TEXT NOT NULL DEFAULT 'open',
  CHECK (Total >= 0 OR state = 'can''t')
);
CREATE INDEX invoice_customer ON Invoice (CustomerId, InvoiceDate DESC);
CREATE INDEX invoice_open ON Invoice (InvoiceDate DESC) WHERE state = 'open' AND Total > 0;
CREATE TABLE Track (
  TrackId INTEGER PRIMARY KEY NOT NULL,
  Name NVARCHAR(200) NOT NULL,
  AlbumId INTEGER REFERENCES Album,
  MediaTypeId INTEGER NOT NULL REFERENCES MediaType,
  GenreId INTEGER REFERENCES Genre,
  Composer NVARCHAR(220) COLLATE NOCASE,
  Milliseconds INTEGER NOT NULL CHECK (Milliseconds > 0),
  Bytes BIGINT,
  UnitPrice DECIMAL(10,2) NOT NULL,
  UNIQUE (AlbumId, Name)
);
CREATE INDEX IFK_TrackAlbumId ON Track (AlbumId);
CREATE TABLE InvoiceLine (
  InvoiceId INTEGER NOT NULL REFERENCES Invoice ON DELETE CASCADE,
  Line SMALLINT NOT NULL,
  TrackId INTEGER NOT NULL REFERENCES Track,
  UnitPrice NUMERIC(10,2) NOT NULL,
  Quantity INTEGER NOT NULL DEFAULT 1,
  PRIMARY KEY (InvoiceId, Line)
) WITHOUT ROWID;
CREATE TABLE refund (
  invoice_id INTEGER NOT NULL,
  line SMALLINT NOT NULL,
  reason TEXT NOT NULL,
  at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
  PRIMARY KEY (invoice_id, line),
  FOREIGN KEY (invoice_id, line) REFERENCES InvoiceLine ON DELETE CASCADE
);
CREATE TABLE Playlist (
  PlaylistId INTEGER PRIMARY KEY,
  Name NVARCHAR(120),
  "order" INTEGER NOT NULL DEFAULT -1,
  "end" TIME,
  "odd name-1" TEXT
);
CREATE TABLE PlaylistTrack (
  PlaylistId INTEGER NOT NULL,
  TrackId INTEGER NOT NULL,
  CONSTRAINT PK_PlaylistTrack PRIMARY KEY (PlaylistId, TrackId),
  FOREIGN KEY (PlaylistId) REFERENCES Playlist ON DELETE CASCADE,
  FOREIGN KEY (TrackId) REFERENCES Track ON DELETE CASCADE
);
CREATE INDEX IFK_PlaylistTrackTrackId ON PlaylistTrack (TrackId);
CREATE TABLE track_credits (
  track_id INTEGER NOT NULL REFERENCES Track ON DELETE CASCADE,
  artist_id INTEGER NOT NULL REFERENCES Artist ON DELETE CASCADE,
  role VARCHAR(30) NOT NULL DEFAULT 'singer',
  PRIMARY KEY (track_id, artist_id)
);
CREATE TABLE similar_artists (
  artist_id INTEGER NOT NULL REFERENCES Artist ON DELETE CASCADE,
  similar_id INTEGER NOT NULL REFERENCES Artist ON DELETE CASCADE,
  PRIMARY KEY (artist_id, similar_id)
);
CREATE VIEW long_tracks AS SELECT TrackId AS id, Name AS name FROM Track WHERE Milliseconds > 600000;
