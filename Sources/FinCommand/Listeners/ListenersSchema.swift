extension ListenersCommand {
  static let schema: JSONSchema? = JSONSchema(
    """
    +head
    matching number of listeners; the list may be shorter
    listeners [object] the worst first
      kind text tcp, unix-stream, unix-records
      address text? with port: of a TCP listener
      port number?
      name text? of a Unix listener
      inode number
      cookie text hexadecimal
      namespace number its inode
      severity text? critical, warning, info; absent if all is well
      waiting number
      limit number
      full flag
      limitedBy text backlog, somaxconn, unknown
      oldest object?
        +bounds
      gone number clients that have given up
      ofGroup flag oldest and gone are the whole group's
      group number
      unfinished number
      unfinishedAgain number answered more than once
      drops number?
      recentDrops number? with --over
      dropsPerSecond number? with --over
      holders [object]
        +program
        fd number
      acceptors [object]
        pid number
        state text? as in /proc/PID/stat: T is stopped
        way text epoll, blocked, ring, unattended, unknown
        epoll number?
        events number?
        thread number?
        call text?
      descriptors [object]
        pid number
        used number?
        limit number?
    """)
}
