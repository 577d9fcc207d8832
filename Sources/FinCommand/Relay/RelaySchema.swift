extension RelayCommand {
  static let schema: JSONSchema? = JSONSchema(
    """
    version number 1; another number means more than new keys
    fin text the version of this command
    event text listening, ended (a connection), refused, handedOver or stopped; the other keys depend on it
    addresses [text]? of listening
    targets [text]? of listening
    isTakenOver flag? whether the listener is that of the relay before
    client text? of ended and refused: its address; of a Unix socket, its process
    original text? the client for which a proxy speaks
    target text? the address of the target that took the connection
    reason text? why nothing was passed on
    attempts [object]? to connect to a target, that failed
      address text
      cause text
    milliseconds number?
    isDelivered flag? whether both finished, and all is known to have arrived at both
    there object? from the client to the target
      bytes number that the kernel took for the target
      bytesLost number received, and not taken for the target before its end
      ending text finished, reset, truncated, undeliverable, timed out (…) or closed
    back object? from the target to the client
      bytes number
      bytesLost number
      ending text
    clientClose object? the close of the client's connection
      ending text
      bytesUnacknowledged number on a Unix socket, kernel memory that was not read
      bytesDiscarded number
      closeNotifySent flag? with --tls
      closeNotifyReceived flag?
    targetClose object? the close of the target's connection
      ending text
      bytesUnacknowledged number
      bytesDiscarded number
      closeNotifySent flag? with --target-tls
      closeNotifyReceived flag?
    successor number? of handedOver: the process that serves from now on
    attemptsFailed number? successors that failed before it
    status number? of stopped: the exit status
    served number? connections that have ended
    refused number? clients reset because of --per-peer
    proxiesRefused number? connections that were reset because of --proxy
    abortedAtStop number? connections reset at the end of --grace
    handlersRunning number? connections that did not end
    clientsReset number? clients that still waited in the queue then
    timesOutOfDescriptors number?
    failure text? the error that ended the listener
    """, isLines: true)
}
