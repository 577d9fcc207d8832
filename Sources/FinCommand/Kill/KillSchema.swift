extension KillCommand {
  static let schema: JSONSchema? = JSONSchema(
    """
    +head
    dryRun flag
    status number the exit status
    sockets [object] as in fin list
      +killed
      outcome text? destroyed, ended, replaced, not-permitted, not-supported, unreachable, refused
      reason text? for the last two
      now text? its state in the second snapshot
      remains flag? whether it continues unchanged
      stillHeldBy [object]? in the second snapshot
        +program
        fd number
    spared [object]
      +killed
      why text listener or bound
    """, parts: ["killed": killedSchema])

  private static let killedSchema = """
    kind text
    state text
    localAddress text
    localPort number
    remoteAddress text
    remotePort number
    interface number?
    namespace number its inode
    inode number
    cookie text hexadecimal
    since object?
      +bounds
    waitingForAccept flag?
    holders [object]
      +program
      fd number
    """
}
