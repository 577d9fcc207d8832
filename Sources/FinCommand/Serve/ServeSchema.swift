extension ServeCommand {
  static let schema: JSONSchema? = JSONSchema(
    """
    version number 1; another number means more than new keys
    fin text the version of this command
    event text listening, ended (a connection), refused, handedOver or stopped; the other keys depend on it
    addresses [text]? of listening
    isTakenOver flag? whether the listener is that of the server before
    client text? of ended and refused: its address; of a Unix socket, its process
    original text? the client for which a proxy speaks
    ending text? how the connection ended
    reason text? why it was ended early, or refused
    isDelivered flag? whether all that was sent is known to have arrived
    bytesReceived number?
    bytesSent number? bytes that the kernel took
    bytesUnacknowledged number? of those sent; on a Unix socket, kernel memory that the client has not read
    bytesDiscarded number? bytes that came during the close
    tls object? of a client with --tls whose handshake succeeded
      version text
      cipher text
      certificate text? the client's
      closeNotifySent flag
      closeNotifyReceived flag without it, what was received may be a part only
    milliseconds number?
    program object? of --exec
      name text
      pid number
      exitStatus number? or else signal
      signal number?
      bytesUnread number bytes of the client that it did not read
    successor number? of handedOver: the process that serves from now on
    attemptsFailed number? successors that failed before it
    status number? of stopped: the exit status
    served number? connections that have ended
    endings [object]?
      ending text
      count number
    refused number? clients reset because of --per-peer
    farewells number? clients that got --farewell instead
    proxiesRefused number? connections that were reset because of --proxy
    abortedAtStop number? connections reset at the end of --grace
    handlersRunning number? connections whose program did not end
    clientsReset number? clients that still waited in the queue then
    timesOutOfDescriptors number?
    failure text? the error that ended the listener
    """, isLines: true)
}
