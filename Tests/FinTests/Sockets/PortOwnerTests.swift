import Fin
import Glibc
import Peers
import SystemPackage
import TestTraits
import Testing

@Suite("Address in use: the error names the holder", .onThreads)
struct AddressInUse {
  private func refusal(_ address: SocketAddress, isStream: Bool = true) throws -> SocketError {
    let error = #expect(throws: SocketError.self) {
      if isStream { _ = try Listener.bind(address) } else { _ = try DatagramSocket.bind(address) }
    }
    let refusal = try #require(error)
    #expect(refusal.cause == .system(.addressInUse))
    return refusal
  }

  @Test(
    "a port held by this program: the error names the descriptor", .faults(52),
    arguments: [SocketAddress.loopback(port: 0), .loopback6(port: 0)])
  func ours(home: SocketAddress) throws {
    let listener = try Listener.bind(home)
    let number = try listener.withDescriptor { $0.rawValue }
    let error = try refusal(listener.localAddress)
    #expect(error.note == "held by this program, descriptor \(number)")
    #expect(
      error.description
        == "bind \(listener.localAddress): address already in use (EADDRINUSE): "
        + "held by this program, descriptor \(number)")
    listener.close()
    let socket = try DatagramSocket.bind(home)
    let other = try socket.withDescriptor { $0.rawValue }
    #expect(try refusal(socket.localAddress!, isStream: false).note == "held by this program, descriptor \(other)")
    socket.close()
  }

  @Test("a port that conflicts with a wildcard address: the error names the address that holds it", .faults(52))
  func wildcards() throws {
    let listener = try Listener.bind(.any(port: 0))
    let port = listener.localAddress.port!
    let number = try listener.withDescriptor { $0.rawValue }
    #expect(
      try refusal(.loopback(port: port)).note == "0.0.0.0:\(port) is held by this program, descriptor \(number)")
    listener.close()
    let one = try Listener.bind(.loopback(port: 0))
    let narrow = one.localAddress
    #expect(try refusal(.any(port: narrow.port!)).note?.hasPrefix("\(narrow) is held by this program") == true)
    one.close()
    let both = try DatagramSocket.bind(.any6(port: 0))
    let shared = both.localAddress!.port!
    #expect(
      try refusal(.any(port: shared), isStream: false).note?.hasPrefix("[::]:\(shared) is held by this program")
        == true)
    both.close()
  }

  @Test(
    "a port held by another program: the error names its process and descriptor", .faults(52), .needsProgram("python3"))
  func anothers() throws {
    let script = """
      import socket, sys, os
      a = socket.socket(); a.bind(("127.0.0.1", 0)); a.listen()
      b = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); b.bind(("127.0.0.1", 0))
      c = socket.socket(socket.AF_UNIX); c.bind("\\0fin held %d" % os.getpid()); c.listen()
      print(os.getpid(), a.getsockname()[1], a.fileno(), b.getsockname()[1], b.fileno(), c.fileno(), flush=True)
      open("/proc/self/comm", "w").write("evil\\x1b[2J\\n")
      print("named", flush=True)
      sys.stdin.readline()
      """
    try withChild(Programs.find("python3")!, ["-c", script]) { child in
      let line = try #require(try child.readLine())
      let numbers = line.split(separator: " ").map { Int($0)! }
      #expect(try child.readLine() == "named")
      let process = numbers[0]
      // The program's name for itself is escaped, so that it cannot move the cursor.
      let name = "evil\\x1b[2J (pid \(process))"
      #expect(try refusal(.loopback(port: UInt16(numbers[1]))).note == "held by \(name), descriptor \(numbers[2])")
      #expect(
        try refusal(.loopback(port: UInt16(numbers[3])), isStream: false).note
          == "held by \(name), descriptor \(numbers[4])")
      #expect(
        try refusal(.unix("@fin held \(process)")).note == "held by \(name), descriptor \(numbers[5])")
    }
  }

  @Test(
    "a port held by a program of another user, which may not be examined: the error says so", .faults(52),
    .enabled(if: Privileges.isRoot, "needs root, to become another user"))
  func anotherUsers() async throws {
    let held = try Listener.bind(.loopback(port: 0))
    let port = held.localAddress.port!
    await #expect(processExitsWith: .success) { [port = port as UInt16] in
      precondition(seteuid(65534) == 0)
      do throws(SocketError) {
        _ = try Listener.bind(.loopback(port: port))
        fatalError("bound")
      } catch {
        precondition(error.note == "held by a process of user 0", "\(error)")
      }
    }
    held.close()
  }

  @Test("a port held by TIME-WAIT alone: the error says so, and what to do", .faults(51, 52))
  func timeWait() throws {
    let listener = try plainListener()
    let port = listener.port
    let client = try PlainSocket.connected(to: "127.0.0.1", port: port)
    let served = try listener.accept()
    listener.close()
    // The side that closes first keeps the port in TIME-WAIT.
    served.close()
    #expect(try client.receive() == [])
    client.close()
    try eventually("TIME-WAIT is all that is left") {
      try KernelView.tcp(localPort: port).map(\.state) == [.timeWait]
    }
    let error = try refusal(.loopback(port: port))
    #expect(
      error.note == "no process holds it, only a connection in TIME-WAIT of a program that had not set "
        + "SO_REUSEADDR: set it in that program, or wait up to 60 s")
  }

  @Test("a port held by connections of an old listener alone: the error says so, and whose they are", .faults(52))
  func children() throws {
    let listener = try plainListener()
    let port = listener.port
    let client = try PlainSocket.connected(to: "127.0.0.1", port: port)
    let served = try listener.accept()
    listener.close()
    let error = try refusal(.loopback(port: port))
    #expect(
      error.note == "no listener has it, only a connection of a listener that had not set SO_REUSEADDR, held by this "
        + "program, descriptor \(served.descriptor): close them in that program, or set the option there")
    served.abort()
    client.close()
  }

  @Test(
    "a port held by a bound socket that does not listen, which no table shows: the error says only that", .faults(52))
  func boundOnly() throws {
    let socket = PlainSocket(adopting: try boundDescriptor())
    let error = try refusal(.loopback(port: socket.port))
    #expect(error.note == "no listener has it, but perhaps a bound socket that does not listen")
    socket.close()
  }

  @Test("without a free descriptor for the search, the error is the same, without a holder")
  func noDescriptors() async {
    await #expect(processExitsWith: .success) {
      try DescriptorTable.apart { table in
        let listener = try Listener.bind(.loopback(port: 0))
        let address = listener.localAddress
        let socket = try Socket(.ipv4)
        let error = try table.leaving(0) {
          try FinTests.refusal { () throws(SocketError) in try socket.bind(to: address) }
        }
        precondition(error.cause == .system(.addressInUse), "\(error)")
        precondition(error.note == nil, "\(error)")
        socket.close()
        listener.close()
      }
    }
  }

  @Test(
    "the holder of a port is searched in the network namespace of the thread that binds", .faults(52), .needsNamespaces)
  func namespaces() throws {
    let namespace = try NetworkNamespace()
    let port = try namespace.run { () throws -> UInt16 in
      let listener = try Listener.bind(.loopback(port: 0))
      let number = try listener.withDescriptor { $0.rawValue }
      #expect(try refusal(listener.localAddress).note == "held by this program, descriptor \(number)")
      let port = listener.localAddress.port!
      listener.close()
      return port
    }
    #expect(port != 0)
  }

  /// A listener that never set `SO_REUSEADDR`, not even before its bind.
  private func plainListener() throws -> PlainSocket {
    let number = try boundDescriptor()
    #expect(listen(number, 4) == 0)
    return PlainSocket(adopting: number)
  }

  private func boundDescriptor() throws -> CInt {
    let number = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    var name = sockaddr_in()
    name.sin_family = sa_family_t(AF_INET)
    name.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    let size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let code = unsafe withUnsafePointer(to: &name) {
      unsafe bind(number, UnsafeRawPointer($0).assumingMemoryBound(to: sockaddr.self), size)
    }
    guard code == 0 else { throw RigError("bind", code: errno) }
    return number
  }
}
