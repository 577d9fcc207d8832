import FinDoctor

extension ExplainCommand {
  static let schema: JSONSchema? = JSONSchema(
    """
    +head
    matched number? the number of sockets that match; absent for bind
    sockets [object]? at most --limit; absent for bind
      socket object as in fin list
        +socket
      title text
      state text
      meaning text
      since object? absent if unknown
        +bounds
      events [object] the oldest first
        kind text \(SocketExplanation.Event.Kind.allCases.map(\.rawValue).joined(separator: ", "))
        ago object? when
          +bounds
        text text
      next [text] what the kernel will do on its own
      outlook text what happens if no program does anything
      noticedBy [text]
      otherEnd object? if it is on this machine
        text text
        pid number?
        fd number?
      facts [object]
        topic text queues, buffers, bytes, path, options
        text text
      findings [object]
        +finding
    status number? for bind: the exit status
    bind object?
      kind text
      address text
      port number
      namespace number its inode
      plain text without SO_REUSEADDR: free, taken, unsure or an error's name
      reuseAddress text with SO_REUSEADDR, likewise
      tried object? bound, or an error's name; absent where it was not tried
        address text?
        plain text?
        reuseAddress text?
      whyUntried text? absent if the port was tried
      notes [text]
      findings [object] what stands in the way
        +finding
    """, parts: ListCommand.socketSchema.merging(CheckCommand.findingSchema) { $1 })
}
