#if Logging
public import Logging

extension LeakPolicy {
  /// Logs each leak as a warning, with the details of the leaked socket as metadata.
  public static func log(to logger: Logger) -> LeakPolicy {
    .custom { report in
      var metadata: Logger.Metadata = [
        "fin.id": "\(report.id)", "fin.opened": "\(report.file):\(report.line)", "fin.age": "\(report.age)",
        "fin.phase": "\(report.phase)", "fin.unread": "\(report.bytesUnread)",
        "fin.unacknowledged": "\(report.bytesUnacknowledged)",
      ]
      if let state = report.tcpState { metadata["fin.tcp-state"] = "\(state)" }
      logger.warning("\(report)", metadata: metadata)
    }
  }
}

extension ServerReport {
  /// Logs the report as one line: at `info` when everything was delivered, at `warning` when something was lost
  /// or failed.
  public func log(to logger: Logger) {
    let isClean =
      bytesUnacknowledged == 0 && handlersFailed == 0 && handlersRunning == 0 && clientsReset == 0 && failure == nil
    logger.log(level: isClean ? .info : .warning, "\(self)")
  }
}
#endif
