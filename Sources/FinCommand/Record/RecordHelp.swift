import FinDoctor

extension RecordCommand {
  static let help = HelpText(
    usage: [
      "fin record [OPTIONS]", "fin record holders ADDRESS [--from TIME] [--to TIME]",
      "fin record growth [PROGRAM] [--from TIME] [--to TIME]", "fin record short [--from TIME] [--to TIME]",
    ],
    examples: """
      fin record                            write a history, until a signal
      fin record --every 5s --days 30       twice as often, for a month
      fin record holders :8080 --from yesterday
      fin record growth --from "3 h ago"    what grew, by program and by peer
      fin record short --from "1 h ago"     connections that no look saw
      fin explain :8080 --at "02:13"        the socket as it was then
      fin check --at "3 h ago"              the problems of that time
      fin diff 01:00 02:00                  the changes in between
      """,
    details: """
      Looks at all sockets every 10 seconds, and writes what changed: an interval for each socket and state, from the \
      first look that saw it to the last one, with the process that held it. A process is known by its number and the \
      moment of its start, so that a number that is used again is another process. Every ten minutes, and when a \
      critical finding begins, a key frame has all that fin census has.

      check, explain, list, ports, listeners, report and diff then answer about the past with --at. An answer says \
      between which two looks it lies, and what is known from a key frame only. A connection that \
      opened and closed between two looks has no interval: it is counted, from what the kernel reports of sockets \
      that end, by the port of its listener or by its destination. Connections in TIME-WAIT are in key frames, and \
      each look counts them for the \(HistoryReader.mostPlaces) destinations and ports with the most, by program \
      where a look saw them open: fin ports --at counts with these.

      Times are 02:13, the latest such time that has passed; "yesterday 02:13"; "3 h ago"; 2026-11-29 02:13, in the \
      local time zone; or 2026-11-29T02:13:00Z.

      The folder is /var/lib/fin for root, else ~/.local/state/fin, or what STATE_DIRECTORY says. It has SQLite files, \
      one a day or more, which sqlite3 and other programs can read; the oldest are removed as a whole. A folder has \
      one recorder. The files name programs, users and addresses, and only their owner and group may read them. Files \
      of other owners are not read.

      A small look each second stays in memory; when a critical finding begins, the last ten minutes of it are written \
      too, in the tables ring and second.

      SIGUSR1 writes these ten minutes at once, with a key frame: systemctl kill -s USR1 fin-record.

      growth compares at most \(HistoryReader.mostCompared) looks of a time, its first, its last and some in between: \
      the sockets of all processes of a program, by state, and the connections with each peer. What is more at the \
      last than at the first is shown; what was never less from one to the next comes first. Connections in TIME-WAIT \
      are not counted.

      short has the connections that no look saw, also refused ones, in the recorder's own network namespace: their \
      number, and how many of them were in TIME-WAIT at the next look, because this side closed first. Of each look, \
      the \(HistoryReader.mostPlaces) places with the most have a name. --every of a shorter time leaves fewer of them.

      It needs the library libsqlite3.so.0 (apt-get install libsqlite3-0), unless it was built with it; without \
      libz.so.1 key frames are not compressed. Without rights it records every socket of its network namespace, and \
      the holders of its own user's only; Fleet/systemd/fin-record.service has what it needs.
      """,
    statuses: """
      0    ended by a signal; holders, growth, short: there is an answer
      64   the command was not understood
      66   holders, growth, short: there is no history
      69   another recorder has the folder, SQLite is missing, no such socket,
           growth: fewer than two looks in the time, or short: no look
      71   the kernel could not be queried at the start
      74   the first look could not be written
      77   the folder or a file belongs to another user
      """)

  static let schema: JSONSchema? = JSONSchema(
    """
    version number 1; another number means more than new keys
    fin text the version of this command
    port number? of holders
    to number the end of the time that was asked about, in milliseconds since 1970
    hidden [text] files that could not be read
    looks [number]? of growth, which were compared, in milliseconds since 1970
    programs [object]? of growth
      program text
      state text of TCP, or UDP or Unix
      first number of sockets at the first look
      last number
      neverFell flag from one look to the next
      values [number] at the looks
    peers [object]? of growth
      peer text
      first number of connections at the first look
      last number
      neverFell flag
      values [number]
    connections number? of short: began and ended between two looks
    resting number? of short: those of them that were in TIME-WAIT at the next look
    incomplete flag? of short: whether there were more than could be counted
    places [object]? of short, of each look those with the most
      +program
      localPort number? of a listener
      remote text? a destination
      connections number
      resting number
    holders [object]? one after the other
      +program
      started number? the start of its process, in clock ticks since the machine's
      descriptor number?
      descriptors number that held it
      kind text
      state text at the last look
      local text
      remote text?
      namespace number the inode of its network namespace
      from number the first look that saw it
      notBefore number? the look before, which did not; absent if it may be older than the history
      to number the last look that saw it
      notAfter number? the next look, which did not
      end text lasts, closed, process-ended, other-owner or unseen
    """, place: "fin record holders --json, growth --json and short --json print")
}
