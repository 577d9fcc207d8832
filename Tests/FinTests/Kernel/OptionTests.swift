import Glibc
import Peers
import SystemPackage
import TestTraits
import Testing

@testable import Fin

@Suite("Options: each with its unit, and the value that the kernel made of it", .onThreads)
struct Options {
  private func onTCP(_ body: (borrowing Connection) throws -> Void) throws {
    let pair = try StreamKind.ipv4.connected()
    try body(pair.first)
    pair.first.abort()
    pair.second.abort()
  }

  /// The value that plain getsockopt(2) returns, without Fin.
  private func plain(_ connection: borrowing Connection, _ level: CInt, _ name: CInt) throws -> CInt {
    try connection.withDescriptor { descriptor in
      var value: CInt = -1
      var length = socklen_t(4)
      unsafe getsockopt(descriptor.rawValue, level, name, &value, &length)
      return value
    }
  }

  @Test("integer options round-trip")
  func integers() throws {
    try onTCP { connection throws in
      #expect(try connection.set(.keepAliveCount, to: 5) == 5)
      #expect(try plain(connection, CInt(IPPROTO_TCP), TCP_KEEPCNT) == 5)
      #expect(try connection.set(.notSentLowWater, to: 16_384) == 16_384)
      #expect(try connection.option(.notSentLowWater) == 16_384)
      #expect(try connection.option(.type) == Int(SOCK_STREAM.rawValue))
    }
  }

  @Test("buffer sizes: Linux doubles the request, and set returns the result", .faults(63))
  func buffers() throws {
    try onTCP { connection throws in
      #expect(try connection.set(.sendBuffer, to: 40_000) == 80_000)
      #expect(try connection.set(.receiveBuffer, to: 50_000) == 100_000)
      #expect(try connection.option(.receiveBuffer) == Int(try plain(connection, SOL_SOCKET, SO_RCVBUF)))
    }
  }

  @Test("a receive buffer of 1 GiB is clamped, and set returns the kernel's value", .faults(63))
  func clamped() throws {
    try onTCP { connection throws in
      let given = try connection.set(.receiveBuffer, to: 1 << 30)
      #expect(given < 1 << 30)
      #expect(given == Int(try plain(connection, SOL_SOCKET, SO_RCVBUF)))
    }
  }

  @Test(
    "boolean options round-trip",
    arguments: [
      SocketOption.noDelay, .keepAlive, .reuseAddress, .reusePort, .broadcast, .urgentInline,
    ])
  func flags(option: SocketOption<Bool>) throws {
    try onTCP { connection throws in
      #expect(try connection.set(option, to: true))
      #expect(try plain(connection, option.level, option.name) != 0)
      #expect(try !connection.set(option, to: false))
      #expect(try plain(connection, option.level, option.name) == 0)
    }
  }

  @Test("IPV6_V6ONLY is set before the bind, and read back")
  func ipv6Only() throws {
    let socket = try Socket(.ipv6)
    #expect(try socket.set(.ipv6Only, to: true))
    #expect(try !socket.set(.ipv6Only, to: false))
    socket.close()
    let listener = try Listener.bind(.loopback6(port: 0), options: .init(ipv6Only: true))
    #expect(try listener.option(.ipv6Only))
    listener.close()
  }

  @Test("duration options round-trip in their units, rounded up")
  func durations() throws {
    try onTCP { connection throws in
      #expect(try connection.set(.userTimeout, to: .milliseconds(1500)) == .milliseconds(1500))
      #expect(try plain(connection, CInt(IPPROTO_TCP), 18) == 1500)
      #expect(try connection.set(.userTimeout, to: .microseconds(1500)) == .milliseconds(2))
      #expect(try connection.set(.userTimeout, to: .nanoseconds(1)) == .milliseconds(1))
      #expect(try connection.set(.keepAliveIdle, to: .seconds(20)) == .seconds(20))
      #expect(try plain(connection, CInt(IPPROTO_TCP), TCP_KEEPIDLE) == 20)
      #expect(try connection.set(.keepAliveIdle, to: .milliseconds(20_001)) == .seconds(21))
      #expect(try connection.set(.keepAliveInterval, to: .milliseconds(500)) == .seconds(1))
      #expect(try connection.set(.orphanTimeout, to: .seconds(7)) == .seconds(7))
    }
  }

  @Test("an option value out of range is refused before any system call, and the error names the option", .faults(63))
  func outOfRange() throws {
    try onTCP { connection throws in
      let before = try connection.option(.userTimeout)
      for wrong in [Duration.seconds(-1), .nanoseconds(-1), .seconds(Int64.max), .milliseconds(Int64(CInt.max) + 1)] {
        let error = try refusal { () throws(SocketError) in try connection.set(.userTimeout, to: wrong) }
        #expect(error.operation == .setOption)
        #expect("\(error)".contains("TCP_USER_TIMEOUT"), "\(error)")
      }
      for wrong in [Int.max, Int.min, Int(CInt.max) + 1] {
        let error = try refusal { () throws(SocketError) in try connection.set(.sendBuffer, to: wrong) }
        #expect("\(error)".contains("SO_SNDBUF"), "\(error)")
      }
      #expect(try connection.option(.userTimeout) == before)
      // A value that only the kernel knows to be out of range.
      let error = try refusal { () throws(SocketError) in try connection.set(.keepAliveCount, to: 1000) }
      #expect(error.cause == .system(.invalidArgument))
      #expect("\(error)".contains("TCP_KEEPCNT"), "\(error)")
    }
  }

  @Test("an option that this kind of socket does not have: the error names it", .faults(63))
  func wrongType() throws {
    let pair = try Connection.pair()
    let set = try refusal { () throws(SocketError) in try pair.first.set(.noDelay, to: true) }
    #expect([.system(.notSupportedOnSocket), .system(.protocolNotAvailable)].contains(set.cause), "\(set)")
    #expect("\(set)".contains("TCP_NODELAY"), "\(set)")
    let get = try refusal { () throws(SocketError) in try pair.first.option(.keepAliveIdle) }
    #expect("\(get)".contains("TCP_KEEPIDLE"), "\(get)")
    #expect(try pair.first.tcpInfo() == nil)
    #expect(try pair.first.tcpState() == nil)
    pair.first.abort()
    pair.second.abort()
    try onTCP { connection throws in
      let v6 = try refusal { () throws(SocketError) in try connection.option(.ipv6Only) }
      #expect("\(v6)".contains("IPV6_V6ONLY"), "\(v6)")
      let type = try refusal { () throws(SocketError) in try connection.set(.type, to: 2) }
      #expect(type.cause == .system(.protocolNotAvailable))
      #expect("\(type)".contains("SO_TYPE"), "\(type)")
    }
  }

  @Test("an option with a wrong level, a wrong size or an unknown name is an error", .faults(63))
  func wrongShape() throws {
    try onTCP { connection throws in
      let name = SocketOption.integer("NO_SUCH_OPTION", level: SOL_SOCKET, name: 4711)
      let unknown = try refusal { () throws(SocketError) in try connection.option(name) }
      #expect(unknown.cause == .system(.protocolNotAvailable))
      #expect("\(unknown)".contains("NO_SUCH_OPTION"), "\(unknown)")
      let level = SocketOption.integer("TCP_NODELAY of no level", level: 4711, name: TCP_NODELAY)
      let lost = try refusal { () throws(SocketError) in try connection.set(level, to: 1) }
      #expect("\(lost)".contains("of no level"), "\(lost)")
      let short = SocketOption.raw("short TCP_NODELAY", level: CInt(IPPROTO_TCP), name: TCP_NODELAY, size: 4)
      let size = try refusal { () throws(SocketError) in try connection.set(short, to: [1]) }
      #expect(size.cause == .system(.invalidArgument))
      #expect("\(size)".contains("short TCP_NODELAY"), "\(size)")
      // The kernel returns 8 bytes for an option that was declared as a 4-byte integer.
      let wide = SocketOption<Int>(
        label: "a wide SO_COOKIE", level: SOL_SOCKET, name: 57, size: 8, encode: { _ in nil },
        decode: SocketOption.integer("", level: 0, name: 0).decode)
      let misread = try refusal { () throws(SocketError) in try connection.option(wide) }
      #expect("\(misread)".contains("a wide SO_COOKIE"), "\(misread)")
    }
  }

  @Test("a raw option that can be set and not read is set without an error: the membership of a multicast group")
  func setOnly() throws {
    let socket = try DatagramSocket.bind(.loopback(port: 0))
    // struct ip_mreq: 239.255.0.1 at 127.0.0.1.
    let membership: [UInt8] = [239, 255, 0, 1, 127, 0, 0, 1]
    let join = SocketOption.raw("IP_ADD_MEMBERSHIP", level: CInt(IPPROTO_IP), name: IP_ADD_MEMBERSHIP, size: 8)
    let leave = SocketOption.raw("IP_DROP_MEMBERSHIP", level: CInt(IPPROTO_IP), name: IP_DROP_MEMBERSHIP, size: 8)
    #expect(try socket.set(join, to: membership) == membership)
    // The kernel lets a member leave, once.
    try socket.set(leave, to: membership)
    let again = try refusal { () throws(SocketError) in try socket.set(leave, to: membership) }
    #expect(again.cause == .system(.addressNotAvailable))
    socket.close()
  }

  @Test("SO_LINGER cannot be set and SO_ERROR cannot be read, not even as raw bytes", .faults(63))
  func reserved() throws {
    try onTCP { connection throws in
      let linger = SocketOption.raw("SO_LINGER", level: SOL_SOCKET, name: SO_LINGER, size: 8)
      let set = try refusal { () throws(SocketError) in
        try connection.set(linger, to: [1, 0, 0, 0, 5, 0, 0, 0])
      }
      #expect("\(set)".contains("close(_:)"), "\(set)")
      #expect(try connection.option(linger).allSatisfy { $0 == 0 })
      let raw = SocketOption.raw("SO_ERROR", level: SOL_SOCKET, name: SO_ERROR, size: 4)
      let bytes = try refusal { () throws(SocketError) in try connection.option(raw) }
      #expect("\(bytes)".contains("failure()"), "\(bytes)")
      let number = SocketOption.integer("SO_ERROR", level: SOL_SOCKET, name: SO_ERROR)
      let whole = try refusal { () throws(SocketError) in try connection.option(number) }
      #expect("\(whole)".contains("failure()"), "\(whole)")
    }
  }

  @Test("getting or setting an option after the close throws .closed")
  func afterClose() throws {
    let pair = try StreamKind.ipv4.connected()
    let shared = pair.first.share()
    pair.second.abort()
    shared.abort()
    #expect(try refusal { () throws(SocketError) in try shared.option(.noDelay) }.cause == .closed)
    #expect(try refusal { () throws(SocketError) in try shared.set(.noDelay, to: true) }.cause == .closed)
  }

  @Test(
    "an urgent byte leaves the stream of a connection; with SO_OOBINLINE it stays", .faults(65),
    arguments: [false, true])
  func urgent(isInline: Bool) throws {
    let streams = try Strangers.connected()
    if isInline { try streams.ours.set(.urgentInline, to: true) }
    let number = streams.plain.descriptor
    #expect(unsafe Glibc.send(number, "ab", 2, 0) == 2)
    #expect(unsafe Glibc.send(number, "!", 1, CInt(MSG_OOB)) == 1)
    #expect(unsafe Glibc.send(number, "cd", 2, 0) == 2)
    try streams.plain.finishSending()
    var text: [UInt8] = []
    while let more = try streams.ours.receive(upTo: 100, within: .seconds(10)) { text += more }
    #expect(String(decoding: text, as: UTF8.self) == (isInline ? "ab!cd" : "abcd"))
    streams.ours.abort()
    streams.plain.close()
  }
}
