internal import CFin
internal import FinBase
internal import Glibc

/// Questions about one socket of this program that only the kernel's socket tables answer: `sock_diag(7)`.
enum SocketDiagnosis {
  /// The number of TCP handshakes with a local port that are under way (SYN-RECEIVED): their clients have an answer and
  /// may believe that they are connected.
  ///
  /// - Returns: `nil` when the kernel does not say.
  static func handshakes(atPort port: UInt16) -> Int? {
    var count = 0
    for family in [AF_INET, AF_INET6] {
      // struct inet_diag_req_v2: family, protocol, attributes, padding, states; then the id, of which only the local
      // port is given.
      var request: [UInt8] = [UInt8(family), UInt8(IPPROTO_TCP), 0, 0]
      request += bytes(of: UInt32(1 << 3))
      request += [UInt8(port >> 8), UInt8(truncatingIfNeeded: port)]
      request += [UInt8](repeating: 0, count: 38) + [UInt8](repeating: 0xff, count: 8)
      guard ask(request, isDump: true, { _ in count += 1 }) else { return nil }
    }
    return count
  }

  /// The number of clients in the accept queue of a Unix listener.
  ///
  /// - Returns: `nil` when the kernel does not say.
  static func clientsQueued(atUnixListener inode: UInt32) -> Int? {
    // struct unix_diag_req: family, protocol, padding, states, inode, what to show (UDIAG_SHOW_RQLEN), cookie.
    var request: [UInt8] = [UInt8(AF_UNIX), 0, 0, 0]
    for number in [UInt32.max, inode, 0x10, .max, .max] { request += bytes(of: number) }
    var length: Int?
    let isAnswered = ask(request, isDump: false) { length = SocketAnswers.queueLength($0) ?? length }
    return isAnswered ? length : nil
  }

  // MARK: Netlink

  /// Sends a request, and passes the payload of each answer to `body`.
  ///
  /// - Returns: whether the kernel answered to the end.
  private static func ask(_ payload: [UInt8], isDump: Bool, _ body: ([UInt8]) -> Void) -> Bool {
    // SOCK_DIAG_BY_FAMILY is message type 20; NLM_F_REQUEST is 1, NLM_F_DUMP is 0x300.
    var request = bytes(of: UInt32(SocketAnswers.headLength + payload.count)) + bytes(of: UInt16(20))
    request += bytes(of: UInt16(isDump ? 0x301 : 1)) + bytes(of: UInt32(1)) + bytes(of: UInt32(0)) + payload
    do throws(KernelError) {
      let socket = Descriptor(owning: CInt(try calling { Int(fin_netlink(CInt(FIN_NETLINK_SOCK_DIAG), 1)) }))
      _ = try calling { unsafe Int(fin_netlink_send(socket.number, request, UInt64(request.count))) }
      var buffer = [UInt8](repeating: 0, count: 1 << 15)
      while true {
        var sender: UInt32 = 0
        var isCut: CInt = 0
        let size = UInt64(buffer.count)
        let count = try calling {
          unsafe Int(fin_netlink_receive(socket.number, &buffer, size, &sender, &isCut))
        }
        guard isCut == 0, count >= SocketAnswers.headLength else { return false }
        switch SocketAnswers.read(buffer, count, isDump: isDump, body) {
        case .more: continue
        case .end(let isWhole): return isWhole
        }
      }
    } catch { return false }
  }

  private static func bytes<Number: FixedWidthInteger & BitwiseCopyable>(of number: Number) -> [UInt8] {
    unsafe withUnsafeBytes(of: number) { unsafe Array($0) }
  }
}
