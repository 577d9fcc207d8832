import Glibc

/// A builder of one rtnetlink request: a header, a fixed part and attributes (rtnetlink(7)).
///
/// It makes links, addresses and routes, so that no `ip` command is needed.
struct RouteRequest {
  enum Kind: UInt16 {
    case newLink = 16, deleteLink = 17, newAddress = 20, deleteAddress = 21, newRoute = 24
  }

  private var bytes: [UInt8] = []

  /// Begins a request.
  ///
  /// - Parameter creates: Whether the request creates an object and fails if it exists (NLM_F_CREATE, NLM_F_EXCL).
  init(_ kind: Kind, creates: Bool) {
    let request: UInt16 = 0x001
    let acknowledge: UInt16 = 0x004
    let exclusive: UInt16 = 0x200
    let create: UInt16 = 0x400
    append(UInt32(0))  // The length, filled in by `perform`.
    append(kind.rawValue)
    append(request | acknowledge | (creates ? create | exclusive : 0))
    append(UInt32(1))  // The sequence number: each socket sends one request.
    append(UInt32(0))
  }

  mutating func append<Number: FixedWidthInteger>(_ number: Number) {
    var number = number
    unsafe withUnsafeBytes(of: &number) { unsafe bytes.append(contentsOf: $0) }
  }

  /// `struct ifinfomsg`
  mutating func appendLink(index: UInt32 = 0, flags: UInt32 = 0, change: UInt32 = 0) {
    append(UInt32(0))
    append(index)
    append(flags)
    append(change)
  }

  mutating func attribute(_ type: UInt16, _ value: [UInt8]) {
    append(UInt16(4 + value.count))
    append(type)
    bytes += value
    bytes += [UInt8](repeating: 0, count: (4 - value.count % 4) % 4)
  }

  mutating func attribute(_ type: UInt16, _ value: UInt32) {
    append(UInt16(8))
    append(type)
    append(value)
  }

  mutating func attribute(_ type: UInt16, _ name: String) {
    attribute(type, Array(name.utf8) + [0])
  }

  mutating func nested(_ type: UInt16, _ content: (inout RouteRequest) -> Void) {
    let start = bytes.count
    append(UInt16(0))
    append(type)
    content(&self)
    setLength(UInt16(bytes.count - start), at: start)
  }

  private mutating func setLength<Number: FixedWidthInteger>(_ number: Number, at offset: Int) {
    unsafe bytes.withUnsafeMutableBytes { unsafe $0.storeBytes(of: number, toByteOffset: offset, as: Number.self) }
  }

  /// Sends the request in the calling thread's namespace and reads the answer, which the kernel queues during `send`.
  consuming func perform(_ purpose: String) throws(RigError) {
    setLength(UInt32(bytes.count), at: 0)
    let socket = try OwnedDescriptor(
      Glibc.socket(AF_NETLINK, CInt(SOCK_RAW.rawValue | SOCK_CLOEXEC.rawValue), 0), from: "socket for rtnetlink")
    let sent = unsafe bytes.withUnsafeBytes { unsafe send(socket.number, $0.baseAddress, $0.count, 0) }
    guard sent == bytes.count else { throw .last("send to rtnetlink") }
    let answer = try socket.read(upTo: 4096) ?? []
    // struct nlmsghdr, then the negated error number.
    guard answer.count >= 20 else { throw RigError("\(purpose): rtnetlink gave a short answer") }
    let code = unsafe answer.withUnsafeBytes { unsafe $0.loadUnaligned(fromByteOffset: 16, as: Int32.self) }
    if code != 0 { throw RigError(purpose, code: -code) }
  }
}
