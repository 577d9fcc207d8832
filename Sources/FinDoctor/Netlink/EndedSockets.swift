internal import CFin
internal import Synchronization

/// Hears of every TCP socket of the own network namespace that ends, from its making on. It needs no rights.
///
/// The kernel keeps what is not yet heard, up to some megabytes: at ten thousand ends a second, for some seconds. Ask
/// ``all()`` more often than that. What comes beyond is lost, and ``lossCount`` says that something was.
public struct EndedSockets: ~Copyable {
  private let descriptor: OwnDescriptor
  private let losses = Atomic(0)

  /// How many times the kernel had to throw away what was not yet heard: it does not tell how much each time.
  public var lossCount: Int { losses.load(ordering: .relaxed) }

  /// Begins to listen; nil where the kernel refuses.
  public init?() { self.init(room: 16 << 20) }

  /// With room for so many bytes of news; less where one may not have as much.
  init?(room: CInt) {
    guard let number = try? calling({ Int(fin_netlink_hear_ends(room)) }) else { return nil }
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
        let error = KernelError.last
        // What is still there follows.
        if error == .lost { losses.add(1, ordering: .relaxed) }
        if error == .interrupted || error == .lost { continue }
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
