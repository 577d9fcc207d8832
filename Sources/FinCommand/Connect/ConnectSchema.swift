extension ConnectCommand {
  static let schema: JSONSchema? = JSONSchema(
    """
    version number 1; another number means more than new keys
    fin text the version of this command
    status number the exit status
    reason text why the connection ended, or why there was none
    remote text? the server's address
    local text? the own address
    ending text? how the close ended; this and the next six are absent if there was no connection
    isDelivered flag? whether all of the input is known to have arrived
    bytesSent number? bytes of the input that the kernel took
    bytesNotSent number? bytes of the input that the kernel did not take
    bytesUnacknowledged number? of those sent; on a Unix socket, kernel memory that the server has not read
    bytesReceived number?
    bytesNotWritten number? bytes that arrived and were not written to the output
    tls object? of a connection with --tls
      version text
      cipher text
      certificate text? the server's: its names, its last day, the hash of its key
      closeNotifySent flag
      closeNotifyReceived flag without it, what was received may be a part only
    milliseconds number from the connection to its end; of a dial that failed, its time
    failedAttempts [object] addresses that were tried in vain, if there were several
      address text
      failure text
      milliseconds number
    """)
}
