import Fin
import SystemPackage

/// The result of a verb.
enum Answer: Sendable, CustomStringConvertible {
  case done
  case bytes([UInt8])
  case end
  case text(String)
  case count(Int)
  case state(TCPState?)
  case phase(Phase)
  case failure(SocketError.Cause?)
  case inode(UInt64?)
  case report(CloseReport)
  case given(CInt, [UInt8])
  /// The number of a new descriptor.
  case opened(CInt)
  case refused(SocketError.Cause, accepted: Int)

  init(_ error: SocketError) { self = .refused(error.cause, accepted: error.bytesAccepted) }

  var description: String {
    switch self {
    case .done: "done"
    case .bytes(let bytes): "\(bytes.count) bytes"
    case .end: "EOF"
    case .text(let text): "a line of \(text.utf8.count) bytes"
    case .count(let count): "\(count)"
    case .state(let state): "state \(state.map { "\($0)" } ?? "none")"
    case .phase(let phase): "phase \(phase)"
    case .failure(let cause): "failure \(cause.map { "\($0)" } ?? "none")"
    case .inode(let inode): "inode \(inode.map { "\($0)" } ?? "none")"
    case .report(let report): "report: \(report)"
    case .given(let number, let bytes): "descriptor \(number) with \(bytes.count) unread bytes"
    case .opened(let number): "descriptor \(number)"
    case .refused(let cause, let accepted): "refused, \(cause), \(accepted) bytes accepted"
    }
  }
}

/// The object of Fin that a holder holds.
enum Held: ~Copyable, Sendable {
  case nothing
  case owner(Connection)
  case receiving(ReceivingConnection)
  case shared(SharedConnection)
  case given(FileDescriptor)
}
