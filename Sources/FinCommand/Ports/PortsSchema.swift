extension PortsCommand {
  static let schema: JSONSchema? = JSONSchema(
    """
    +head
    overMilliseconds number? between two snapshots; absent after one
    namespaces [object]
      inode number
      name text
      own flag
      firstPort number?
      lastPort number?
      reservedPorts number?
      capacity number?
      timeWaitReuse number?
    matching number of budgets; the list may be shorter
    budgets [object] the fullest first
      namespace number its inode
      source text? with destination and port: absent for all destinations without a connection
      destination text?
      port number?
      capacity number
      connected number
      timeWait number
      timeWaitReusable number
      bound number
      boundOnSource number
      boundProbably number
      free number
      percent number taken
      users [object]
        +program
        ports number
      boundBy [object]
        +program
        ports number
      closedPerSecond number out of TIME-WAIT, over the last minute
      sustainedPerSecond number the rate that the ports can sustain
      pace object? after two snapshots
        openedPerSecondAtLeast number
        openedPerSecondAtMost number?
        growth number
        exhaustion object? absent if the ports last
          +bounds
      remedies [object]
        id text
        name text
        code text
        fin text
    """)
}
