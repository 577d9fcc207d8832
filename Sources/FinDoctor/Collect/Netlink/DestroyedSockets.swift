internal import CFin
internal import FinBase
internal import Synchronization

/// Reports each TCP socket destroyed in this process's network namespace, from creation on. It needs no rights.
///
/// The kernel queues the reports up to some megabytes: at ten thousand destroyed sockets a second, that lasts for some
/// seconds. Call ``all()`` more often than that. The kernel drops the reports that do not fit, and ``lossCount`` counts
/// such losses.
package struct DestroyedSockets: ~Copyable {
  private let descriptor: Descriptor
  private let losses = Atomic(0)

  /// The number of times that the kernel had to drop reports. The kernel does not say how many it dropped each time.
  package var lossCount: Int { losses.load(ordering: .relaxed) }

  /// Subscribes to the kernel's reports; nil where the kernel refuses.
  package init?() { self.init(room: 16 << 20) }

  /// Subscribes with a receive buffer of `room` bytes, or of as many as this process may have.
  init?(room: CInt) {
    guard let number = try? calling(.again, { Int(fin_netlink_hear_ends(room)) }) else { return nil }
    descriptor = Descriptor(owning: CInt(number))
  }

  /// Returns the sockets destroyed since creation, or since the last call.
  package func all() -> [InetSocket] {
    var found: [InetSocket] = []
    forEach { found.append($0) }
    return found
  }

  /// Calls `body` with each socket destroyed since creation, or since the last call, in its last state: the bytes that
  /// its program had not read are in ``InetSocket/receiveQueue``. They may be very many.
  package func forEach(_ body: (InetSocket) -> Void) {
    var room = [UInt8](repeating: 0, count: 1 << 16)
    var damage = NetlinkSocket.Damage()
    while true {
      var sender: UInt32 = 0
      var cut: CInt = 0
      let number = descriptor.number
      let count = unsafe room.withUnsafeMutableBytes { bytes in
        unsafe fin_netlink_receive(number, bytes.baseAddress!, UInt64(bytes.count), &sender, &cut)
      }
      if count < 0 {
        let error = KernelError.last
        // The reports that are still queued follow.
        if error == .lost { losses.add(1, ordering: .relaxed) }
        if error == .interrupted || error == .lost { continue }
        return
      }
      if sender != 0 || cut != 0 { continue }
      // These reports answer no request: their sequence number is 0.
      _ = unsafe NetlinkSocket.walk(room.span.bytes.extracting(0..<Int(count)), sequence: 0, &damage) { answer in
        guard let row = InetDiag.row(answer, transport: .tcp, namespace: 0) else { return false }
        body(row)
        return true
      }
    }
  }
}
