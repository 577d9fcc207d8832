/// The tables of a file. `PRAGMA user_version` is the version of their form, and a newer one is not read.
///
/// A file of an earlier fin may lack a table that was added since: its reader asks whether the table is there.
enum HistorySchema {
  static let version: Int64 = 1

  /// `PRAGMA application_id`, by which a file is known: `FinH`.
  static let application: Int64 = 0x4669_6e48

  /// Times are milliseconds since 1970, or of the monotonic clock; `first` and `last` are numbers of looks.
  static let tables = """
    CREATE TABLE run(
      number INTEGER PRIMARY KEY, boot TEXT, version TEXT, kernel TEXT, host TEXT, period INTEGER);
    CREATE TABLE look(
      id INTEGER PRIMARY KEY, at INTEGER, monotonic INTEGER, sockets INTEGER, resting INTEGER, newest INTEGER,
      step INTEGER, missed INTEGER, hidden INTEGER);
    CREATE TABLE text(id INTEGER PRIMARY KEY, s TEXT UNIQUE);
    CREATE TABLE namespace(id INTEGER PRIMARY KEY, inode INTEGER UNIQUE, name TEXT);
    CREATE TABLE program(
      id INTEGER PRIMARY KEY, pid INTEGER, start INTEGER, name TEXT, script TEXT, unit TEXT, container TEXT,
      user INTEGER, exe TEXT, UNIQUE(pid, start));
    CREATE TABLE span(
      id INTEGER PRIMARY KEY, cookie INTEGER, netns INTEGER, kind INTEGER, family INTEGER, la INTEGER, lp INTEGER,
      ra INTEGER, rp INTEGER, state INTEGER, first INTEGER, last INTEGER, ended INTEGER, since_lo INTEGER,
      since_hi INTEGER, rq INTEGER, sq INTEGER, drops INTEGER, inode INTEGER, holder INTEGER, fd INTEGER,
      holders INTEGER);
    CREATE INDEX span_held ON span(lp) WHERE kind = 17 OR state IN (7, 10, 13);
    CREATE TABLE also(span INTEGER, program INTEGER, fd INTEGER, PRIMARY KEY(span, program, fd)) WITHOUT ROWID;
    CREATE TABLE finding(
      id INTEGER PRIMARY KEY, code TEXT, severity INTEGER, program INTEGER, first INTEGER, last INTEGER, open INTEGER,
      worst INTEGER, sentence TEXT);
    CREATE TABLE rest(
      look INTEGER, place INTEGER, netns INTEGER, la INTEGER, lp INTEGER, ra INTEGER, rp INTEGER, holder INTEGER,
      count INTEGER, PRIMARY KEY(look, place)) WITHOUT ROWID;
    CREATE TABLE short(
      look INTEGER, place INTEGER, lp INTEGER, ra INTEGER, rp INTEGER, holder INTEGER, count INTEGER, resting INTEGER,
      PRIMARY KEY(look, place)) WITHOUT ROWID;
    CREATE TABLE ended(look INTEGER PRIMARY KEY, short INTEGER, resting INTEGER, lost INTEGER);
    CREATE TABLE frame(look INTEGER PRIMARY KEY, size INTEGER, packing INTEGER, census BLOB, open BLOB);
    CREATE TABLE ring(id INTEGER PRIMARY KEY, look INTEGER, since INTEGER, until INTEGER, looks INTEGER, lost INTEGER);
    CREATE TABLE second(
      ring INTEGER, cookie INTEGER, kind INTEGER, family INTEGER, la INTEGER, lp INTEGER, ra INTEGER, rp INTEGER,
      state INTEGER, first INTEGER, last INTEGER, ended INTEGER, rq INTEGER, sq INTEGER);
    CREATE VIEW interval AS SELECT
      s.id, s.kind, t.s AS local, s.lp AS port, u.s AS remote, s.rp AS remote_port, s.state,
      datetime(f.at / 1000, 'unixepoch') AS first_seen,
      datetime((CASE s.ended WHEN 2 THEN (SELECT max(at) FROM look) ELSE l.at END) / 1000, 'unixepoch') AS last_seen,
      s.ended, p.name, p.script, p.pid, s.fd, p.unit
      FROM span s JOIN look f ON f.id = s.first JOIN look l ON l.id = s.last
      LEFT JOIN text t ON t.id = s.la LEFT JOIN text u ON u.id = s.ra LEFT JOIN program p ON p.id = s.holder;
    """

  /// The settings of a new file, before its tables.
  static let settings = """
    PRAGMA application_id=\(application);
    PRAGMA user_version=\(version);
    PRAGMA journal_mode=WAL;
    PRAGMA synchronous=NORMAL;
    PRAGMA wal_autocheckpoint=256;
    """

  /// The reason why a file is not one of a history that this version reads, as a phrase behind its name; nil if it is.
  static func refusal(_ database: Database) throws(Database.Failure) -> String? {
    guard try number(database, "PRAGMA application_id") == application else { return "is no file of fin record" }
    let found = try number(database, "PRAGMA user_version")
    if found > version { return "is of version \(found), which this fin does not read: it reads up to \(version)" }
    return found < 1 ? "is no file of fin record" : nil
  }

  /// The first number of a result; 0 if there is none.
  static func number(_ database: Database, _ text: String, _ values: [Database.Value] = []) throws(Database.Failure)
    -> Int64
  {
    var found: Int64 = 0
    try database.prepare(text).run(values) { found = $0.number(0) }
    return found
  }
}
