internal import FinBase

extension InetSocket: Recorded {
  mutating func visit(_ fields: inout some FieldVisitor) throws(CensusRecord.Fault) {
    try fields.number("cookie", &cookie)
    try fields.raw("transport", &transport)
    try fields.flag("isIPv6", &isIPv6)
    try fields.raw("state", &state)
    try fields.address("localAddress", &localBits, isIPv6: isIPv6)
    try fields.number("localPort", &localPort)
    try fields.address("remoteAddress", &remoteBits, isIPv6: isIPv6)
    try fields.number("remotePort", &remotePort)
    try fields.number("interface", &interface)
    try fields.number("namespace", &namespace)
    try fields.number("inode", &inode)
    try fields.user("user", &user)
    try fields.number("cgroup", &cgroup)
    try fields.number("receiveQueue", &receiveQueue)
    try fields.number("sendQueue", &sendQueue)
    try fields.raw("timer", &timer)
    try fields.number("expires", &expires)
    try fields.number("retransmits", &retransmits)
    try fields.number("options", &options)
    try fields.number("shutdown", &shutdown)
    try fields.flag("isSubflow", &isSubflow)
    try fields.flag("isIPv6Only", &isIPv6Only)
    try fields.object("memory", &memory)
    var tcp: TCPDetail? = info.isEmpty ? nil : info
    try fields.object("tcp", &tcp)
    var multipath: MultipathFields? = info.multipathLength == 0 ? nil : MultipathFields(detail: info)
    try fields.object("multipath", &multipath)
    info = multipath?.detail ?? tcp ?? TCPDetail()
  }
}

extension SocketMemory: Recorded {
  mutating func visit(_ fields: inout some FieldVisitor) throws(CensusRecord.Fault) {
    try visit(&fields, "received", \.received)
    try visit(&fields, "receiveLimit", \.receiveLimit)
    try visit(&fields, "sending", \.sending)
    try visit(&fields, "sendLimit", \.sendLimit)
    try visit(&fields, "reserved", \.reserved)
    try visit(&fields, "queued", \.queued)
    try visit(&fields, "options", \.options)
    try visit(&fields, "backlog", \.backlog)
    try visit(&fields, "drops", \.drops)
  }

  /// A field that is absent stays so: setting it would make those before it known.
  private mutating func visit(
    _ fields: inout some FieldVisitor, _ key: JSONKey, _ path: WritableKeyPath<SocketMemory, UInt32?>
  ) throws(CensusRecord.Fault) {
    var value = self[keyPath: path]
    try fields.number(key, &value)
    if let value { self[keyPath: path] = value }
  }
}

extension TCPDetail: Recorded {
  mutating func visit(_ fields: inout some FieldVisitor) throws(CensusRecord.Fault) {
    try visit(&fields, "congestionState", \.congestionState)
    try visit(&fields, "retransmits", \.retransmits)
    try visit(&fields, "probes", \.probes)
    try visit(&fields, "backoff", \.backoff)
    try visit(&fields, "options", \.options)
    try visit(&fields, "retransmitTimeout", \.retransmitTimeout)
    try visit(&fields, "unacknowledgedSegments", \.unacknowledgedSegments)
    try visit(&fields, "selectivelyAcknowledged", \.selectivelyAcknowledged)
    try visit(&fields, "lostSegments", \.lostSegments)
    try visit(&fields, "lastDataSent", \.lastDataSent)
    try visit(&fields, "lastDataReceived", \.lastDataReceived)
    try visit(&fields, "lastAcknowledgementReceived", \.lastAcknowledgementReceived)
    try visit(&fields, "pathMTU", \.pathMTU)
    try visit(&fields, "roundTripTime", \.roundTripTime)
    try visit(&fields, "roundTripVariation", \.roundTripVariation)
    try visit(&fields, "congestionWindow", \.congestionWindow)
    try visit(&fields, "totalRetransmissions", \.totalRetransmissions)
    try visit(&fields, "bytesAcknowledged", \.bytesAcknowledged)
    try visit(&fields, "bytesReceived", \.bytesReceived)
    try visit(&fields, "segmentsSent", \.segmentsSent)
    try visit(&fields, "segmentsReceived", \.segmentsReceived)
    try visit(&fields, "bytesNotSent", \.bytesNotSent)
    try visit(&fields, "dataSegmentsReceived", \.dataSegmentsReceived)
    try visit(&fields, "dataSegmentsSent", \.dataSegmentsSent)
    try visit(&fields, "busyTime", \.busyTime)
    try visit(&fields, "windowLimitedTime", \.windowLimitedTime)
    try visit(&fields, "bufferLimitedTime", \.bufferLimitedTime)
    try visit(&fields, "bytesSent", \.bytesSent)
    try visit(&fields, "bytesRetransmitted", \.bytesRetransmitted)
    try visit(&fields, "sendWindow", \.sendWindow)
    try visit(&fields, "receiveWindow", \.receiveWindow)
    try visit(&fields, "totalTimeouts", \.totalTimeouts)
    try visit(&fields, "totalTimeoutRecoveries", \.totalTimeoutRecoveries)
    try visit(&fields, "totalTimeoutTime", \.totalTimeoutTime)
    // The field itself is absent then, and would be 0 after those behind it are set.
    var isWithoutReceipt: Bool? = hasNoTimeOfReceipt ? true : nil
    try fields.flag("hasNoTimeOfReceipt", &isWithoutReceipt)
    hasNoTimeOfReceipt = isWithoutReceipt ?? false
  }

  private mutating func visit<Number: FixedWidthInteger>(
    _ fields: inout some FieldVisitor, _ key: JSONKey, _ path: WritableKeyPath<TCPDetail, Number?>
  ) throws(CensusRecord.Fault) {
    var value = self[keyPath: path]
    try fields.number(key, &value)
    if let value { self[keyPath: path] = value }
  }
}

/// The fields of `struct mptcp_info`, which a row keeps where others keep `struct tcp_info`.
private struct MultipathFields: Recorded {
  var detail = TCPDetail()

  init(detail: TCPDetail) { self.detail = detail }
  init() {}

  mutating func visit(_ fields: inout some FieldVisitor) throws(CensusRecord.Fault) {
    try visit(&fields, "flags", 8, UInt32.self)
    try visit(&fields, "token", 12, UInt32.self)
    try visit(&fields, "bytesRetransmitted", 48, UInt64.self)
    try visit(&fields, "bytesSent", 56, UInt64.self)
    try visit(&fields, "bytesReceived", 64, UInt64.self)
    try visit(&fields, "bytesAcknowledged", 72, UInt64.self)
    try visit(&fields, "pathCount", 80, UInt8.self)
    try visit(&fields, "lastDataSent", 84, UInt32.self)
    try visit(&fields, "lastDataReceived", 88, UInt32.self)
    try visit(&fields, "lastAcknowledgementReceived", 92, UInt32.self)
  }

  private mutating func visit<Number: FixedWidthInteger & UnsignedInteger>(
    _ fields: inout some FieldVisitor, _ key: JSONKey, _ offset: Int, _: Number.Type
  ) throws(CensusRecord.Fault) {
    var value: Number? = detail.multipathField(offset)
    try fields.number(key, &value)
    if let value { detail.setMultipathField(offset, value) }
  }
}

/// A Unix socket with its name and its queue, which lie in the census's buffers.
struct RecordedUnixSocket: Recorded {
  var socket = UnixSocket()
  /// The bytes of the name, escaped; nil for none.
  var name: String?
  var waiting: [UInt32] = []

  init() {}

  mutating func visit(_ fields: inout some FieldVisitor) throws(CensusRecord.Fault) {
    try fields.number("cookie", &socket.cookie)
    try fields.raw("type", &socket.type)
    try fields.raw("state", &socket.state)
    try fields.text("name", .unixName, &name)
    try fields.number("namespace", &socket.namespace)
    try fields.number("inode", &socket.inode)
    try fields.number("peer", &socket.peer)
    try fields.user("user", &socket.user)
    try fields.number("receiveQueue", &socket.receiveQueue)
    try fields.number("sendQueue", &socket.sendQueue)
    try fields.number("shutdown", &socket.shutdown)
    try fields.numbers("waiting", &waiting)
    try fields.object("memory", &socket.memory)
  }
}

extension OtherSocket: Recorded {
  init() { self.init(holder: Holder(), kind: "") }

  mutating func visit(_ fields: inout some FieldVisitor) throws(CensusRecord.Fault) {
    try fields.object("holder", &holder)
    try fields.text("kind", .word, &kind)
  }
}

extension DetachedSocket: Recorded {
  init() { self.init(inode: 0, pid: 0, descriptor: 0) }

  mutating func visit(_ fields: inout some FieldVisitor) throws(CensusRecord.Fault) {
    try fields.number("inode", &inode)
    try fields.number("pid", &pid)
    try fields.number("descriptor", &descriptor)
    try fields.raw("transport", &transport)
    try fields.flag("isIPv6", &isIPv6)
    try fields.check(pid >= 0, "pid", "the number of a process is not negative")
    try fields.check(descriptor >= 0, "descriptor", "a descriptor is not negative")
  }
}
