extension ListCommand {
  static let schema: JSONSchema? = JSONSchema(
    """
    +head
    namespaces [object]
      inode number
      name text
      own flag
    matching number of sockets; --limit may leave some out
    sockets [object] a value that the kernel does not report is absent
      +socket
    """, parts: socketSchema)

  /// A socket, as the schemas of other commands have it too.
  static let socketSchema: [Substring: String] = [
    "socket": """
    kind text tcp, udp, mptcp, unix-stream, unix-datagram, unix-records; with --others also packet, raw and more
    family number? 4 or 6
    state text
    localAddress text?
    localPort number?
    remoteAddress text?
    remotePort number?
    interface number? if it is bound to one
    name text? of a Unix socket
    peerInode number? of a Unix socket
    receiveQueue number? mptcp: the memory of the unread data
    sendQueue number?
    timer object? if one runs
      name text
      milliseconds number
      count number
    since object? absent if unknown
      +bounds
    idleMilliseconds number?
    waitingForAccept flag?
    user number?
    cookie text? hexadecimal
    cgroup number?
    shutdown number? 1 receiving, 2 sending, 3 both
    namespace number? its inode
    memory object? bytes; and drops
      received number?
      receiveLimit number?
      sending number?
      sendLimit number?
      reserved number?
      queued number?
      options number?
      backlog number?
      drops number?
    tcp object? bytes unless the name says otherwise
      bytesSent number?
      bytesAcknowledged number?
      bytesReceived number?
      bytesRetransmitted number?
      bytesNotSent number?
      segmentsSent number?
      segmentsReceived number?
      unacknowledgedSegments number?
      totalRetransmissions number?
      lastDataSentMilliseconds number?
      lastDataReceivedMilliseconds number?
      lastAcknowledgementMilliseconds number?
      retransmitTimeoutMicroseconds number?
      roundTripMicroseconds number?
      sendWindow number?
      receiveWindow number?
      retransmits number?
      probes number?
      backoff number?
    mptcp object?
      token text?
      paths number?
      plainTCP flag?
      bytesSent number?
      bytesAcknowledged number?
      bytesReceived number?
      bytesRetransmitted number?
      lastDataSentMilliseconds number?
      lastDataReceivedMilliseconds number?
      lastAcknowledgementMilliseconds number?
    pathOf text? a subflow: the token of its connection
    inode number
    keeper text? what holds it without a descriptor: ring, message, interface, kernel, unclear, unseen
    published object? with --fields site, phase or deadline
      file text
      line number
      phase text
      intent text?
      deadlineMilliseconds number?
      openedMilliseconds number?
    holders [object]
      +program
      fd number
    formerHolder object? with --over, if nothing holds it
      +program
      fd number
    """
  ]
}
