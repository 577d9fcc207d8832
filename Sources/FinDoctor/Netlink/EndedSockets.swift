internal import CFin

/// Hears of every TCP socket of the own network namespace that ends, from its making on. It needs no rights.
///
/// The kernel keeps what is not yet heard, up to some megabytes: at ten thousand ends a second, for some seconds. What comes
/// beyond is lost, and ``all()`` does not say so; the counters of the namespace do.
public struct EndedSockets: ~Copyable {
  private let descriptor: OwnDescriptor

  /// Begins to listen; nil where the kernel refuses.
  public init?() {
    guard let number = try? calling({ Int(fin_netlink_hear_ends()) }) else { return nil }
    descriptor = OwnDescriptor(adopting: CInt(number))
  }

  /// Those that ended since it was made, or since the last call, each as it was at its end: what its program had not read is
  /// in ``InetSocket/receiveQueue``.
  public func all() -> [InetSocket] {
    var found: [InetSocket] = []
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
        // A signal, or what was lost: what is still there follows.
        if KernelError.last == .interrupted || KernelError.last == .lost { continue }
        return found
      }
      if sender != 0 || cut != 0 { continue }
      // The kernel speaks unasked: such messages have the number 0.
      _ = unsafe NetlinkSocket.walk(room.span.bytes.extracting(0..<Int(count)), sequence: 0, &damage) { answer in
        guard let row = InetDiag.row(answer, transport: .tcp, namespace: 0) else { return false }
        found.append(row)
        return true
      }
    }
  }
}
