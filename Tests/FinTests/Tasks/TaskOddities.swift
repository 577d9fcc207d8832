import Glibc
import Peers
import SystemPackage
import TestTraits
import Testing

@_spi(Fin) @testable import Fin

@Suite("In a task: urgent bytes, passed descriptors, short reads, datagrams", .onThreads)
struct TaskOddities {
  @Test(
    "an urgent byte in the middle: a read that stops before it loses nothing after it", .faults(65), .needsTUN,
    arguments: Place.allCases)
  func urgent(_ place: Place) throws {
    try withRawPeer(.good) { peer in
      let ours = try connection(to: peer).share()
      let taken = Tally()
      let receiving = errand(on: place) { () async throws -> [UInt8] in
        var all: [UInt8] = []
        while all.count < 12 {
          let some = try await ours.receive(upTo: 4096) ?? []
          all += some
          taken.add(some.count)
        }
        return all
      }
      for round in 0..<3 {
        // Waits between urgent bytes: a newer urgent byte turns the previous one into ordinary data.
        try eventually(within: .seconds(10), "bytes taken", equals: 4 * round) { taken.value }
        try ours.awaitParked()
        try peer.converse { $0.send([.psh, .ack, .urg], Array("ab!cd".utf8), urgentPointer: 3) }
      }
      let all = try receiving.join()
      #expect(all == Array("abcdabcdabcd".utf8))
      ours.abort()
    }
  }

  @Test(
    "an urgent byte that arrives alone, after data that was read and before data that was not", .faults(65), .needsTUN)
  func urgentAlone() throws {
    try withRawPeer(.good) { peer in
      let ours = try connection(to: peer).share()
      let line = errand { try await ours.receiveLine() }
      try ours.awaitParked()
      for (text, pointer) in [("on", nil), ("!", 1), ("e", nil), ("\n", nil)] as [(String, UInt16?)] {
        let bytes = Array(text.utf8)
        try peer.converse { conversation in
          if let pointer {
            conversation.send([.psh, .ack, .urg], bytes, urgentPointer: pointer)
          } else {
            conversation.send([.psh, .ack], bytes)
          }
        }
      }
      #expect(try line.join() == "one")
      ours.abort()
    }
  }

  @Test("with SO_OOBINLINE the urgent byte stays, in a task as well", .faults(65), .needsTUN)
  func inline() throws {
    try withRawPeer(.good) { peer in
      let ours = try connection(to: peer).share()
      try ours.withDescriptor { descriptor in
        var on: CInt = 1
        #expect(unsafe setsockopt(descriptor.rawValue, SOL_SOCKET, SO_OOBINLINE, &on, 4) == 0)
      }
      let receiving = errand { try await ours.receive(exactly: 5) }
      try ours.awaitParked()
      try peer.converse { $0.send([.psh, .ack, .urg], Array("ab!cd".utf8), urgentPointer: 3) }
      #expect(try receiving.join() == Array("ab!cd".utf8))
      ours.abort()
    }
  }

  @Test("reads of a Unix stream stop short at passed descriptors, and every byte arrives all the same")
  func passedDescriptors() throws {
    let pair = try Connection.pair()
    let ours = pair.first.share()
    // The kernel closes passed descriptors that the receiver does not ask for.
    try pair.second.withDescriptor { descriptor in
      for number in 0..<5 {
        #expect(pass(descriptor.rawValue, over: descriptor.rawValue, [UInt8(number), 7, 7]))
        #expect(unsafe send(descriptor.rawValue, [9, 9] as [UInt8], 2, CInt(MSG_NOSIGNAL)) == 2)
      }
    }
    let expected = [UInt8](0..<5).flatMap { [$0, 7, 7, 9, 9] as [UInt8] }
    let first = try inTask { try await ours.receive(exactly: 25) }
    #expect(first == expected)
    // The same for a receiver that waits.
    let receiving = errand { () async throws -> [UInt8] in
      var all: [UInt8] = []
      while all.count < 25 { all += try await ours.receive(upTo: 4096) ?? [] }
      return all
    }
    try ours.awaitParked()
    try pair.second.withDescriptor { descriptor in
      for number in 0..<5 {
        #expect(pass(descriptor.rawValue, over: descriptor.rawValue, [UInt8(number), 7, 7]))
        #expect(unsafe send(descriptor.rawValue, [9, 9] as [UInt8], 2, CInt(MSG_NOSIGNAL)) == 2)
      }
    }
    let second = try receiving.join()
    #expect(second == expected)
    ours.abort()
    pair.second.abort()
  }

  /// Calls `sendmsg` with `SCM_RIGHTS`.
  private func pass(_ descriptor: CInt, over socket: CInt, _ bytes: [UInt8]) -> Bool {
    var bytes = bytes
    // cmsghdr: eight bytes of length, four of level, four of type; then the descriptor.
    var control: [UInt32] = [20, 0, UInt32(SOL_SOCKET), 1, UInt32(bitPattern: descriptor), 0]
    return unsafe bytes.withUnsafeMutableBytes { bytes in
      unsafe control.withUnsafeMutableBytes { control in
        var vector = unsafe iovec(iov_base: bytes.baseAddress, iov_len: bytes.count)
        return unsafe withUnsafeMutablePointer(to: &vector) { vector in
          var message = unsafe msghdr()
          unsafe message.msg_iov = vector
          unsafe message.msg_iovlen = 1
          unsafe message.msg_control = control.baseAddress
          unsafe message.msg_controllen = control.count
          return unsafe sendmsg(socket, &message, CInt(MSG_NOSIGNAL)) == bytes.count
        }
      }
    }
  }

  @Test(
    "a receive that gets its data in small pieces goes on reading until it is complete", .faults(59),
    arguments: ReceiveVerb.patient)
  func shortReads(_ verb: ReceiveVerb) throws {
    // A short read on TCP means that the socket is empty, so this script is only valid for a stream that may return
    // less.
    let pair = try Connection.pair()
    let ours = pair.first.share()
    try pair.second.send("ab\nab\n")
    let script = Script(.every(.recv, .limit(1)))
    let answers = try Seam.$script.withValue(script) {
      errand { [try await verb.ask(ours), try await verb.ask(ours)] }
    }.join()
    #expect(answers == [verb.answer, verb.answer])
    #expect(script.count(.recv) >= 6)
    ours.abort()
    pair.second.abort()
  }

  @Test("signals during every receive and send of a task change nothing", .faults(58))
  func interrupted() throws {
    let (ours, theirs) = try Medium.tcp.open()
    let script = Script(
      .nth(1, .recv, .fail(.interrupted)), .nth(3, .recv, .fail(.interrupted)), .nth(1, .send, .fail(.interrupted)))
    let receiving = Seam.$script.withValue(script) {
      errand { () async throws -> String? in
        try await ours.send("?")
        return try await ours.receiveLine()
      }
    }
    #expect(try theirs.receive(exactly: 1) == Array("?".utf8))
    try ours.awaitParked()
    try theirs.send("a")
    try theirs.send("b\n")
    #expect(try receiving.join() == "ab")
    ours.abort()
    theirs.abort()
  }

  // MARK: Datagrams

  @Test(
    "datagrams in a task arrive whole, those of 0 bytes too, and a truncated one says so", .faults(59),
    arguments: [SocketAddress.loopback(port: 0), .loopback6(port: 0), nil], Place.allCases)
  func datagrams(_ home: SocketAddress?, _ place: Place) throws {
    let folder = try TemporaryFolder()
    let server = try DatagramSocket.bind(try home ?? .unix("\(folder.path)/s")).share()
    let client = try DatagramSocket(server.reference.core.family).share()
    let address = server.localAddress
    for isWaitedFor in [true, false] {
      let receiving = errand(on: place) { () async throws -> [Datagram] in
        var all: [Datagram] = []
        for most in [100, 100, 10, 100] { all.append(try await server.receive(upTo: most)) }
        return all
      }
      if isWaitedFor { try server.awaitParked() }
      try inTask(on: place) {
        try await client.send([], to: address)
        try await client.send([1, 2, 3], to: address)
        try await client.send([UInt8](0..<100), to: address)
        try await client.send("next", to: address)
      }
      let all = try receiving.join()
      #expect(all.map(\.bytes) == [[], [1, 2, 3], [UInt8](0..<10), Array("next".utf8)])
      #expect(all.map(\.length) == [0, 3, 100, 4])
      #expect(all.map(\.isTruncated) == [false, false, true, false])
      if home != nil {
        let sender = try #require(all[1].sender)
        try inTask(on: place) { try await server.send("answer", to: sender) }
        #expect(try inTask(on: place) { try await client.receive() }.bytes == Array("answer".utf8))
      }
    }
    client.close()
    server.close()
  }

  @Test(
    "a datagram to a full queue is sent when there is room, whether the socket is connected or not",
    arguments: [true, false], Place.allCases)
  func fullQueue(_ isConnected: Bool, _ place: Place) throws {
    let folder = try TemporaryFolder()
    let receiver = try DatagramSocket.bind(try .unix("\(folder.path)/s"))
    let sender = try DatagramSocket(.unix).share()
    let bound = receiver.localAddress
    let address = try #require(bound)
    if isConnected { try sender.connect(to: address) }
    let peer = isConnected ? nil : address
    var sent = 0
    while cause({ () throws(SocketError) in try sender.send("full", to: peer, within: .zero) }) == nil { sent += 1 }
    let sending = errand(on: place) { try await sender.send("one more", to: peer) }
    try sender.awaitParked()
    for _ in 0..<sent { #expect(try receiver.receive(within: .seconds(10)).bytes == Array("full".utf8)) }
    try sending.join()
    #expect(try receiver.receive(within: .seconds(10)).bytes == Array("one more".utf8))
    sender.close()
    receiver.close()
  }

  @Test("a thousand datagrams to three tasks at once: each goes to one of them")
  func shared() throws {
    let pair = try DatagramSocket.pair()
    let ours = pair.first.share()
    let receivers = (0..<3).map { number in
      errand(on: number == 0 ? .elsewhere : .loop) { () async throws -> [Int] in
        var all: [Int] = []
        while true {
          let bytes = try await ours.receive().bytes
          if bytes.isEmpty { return all }
          all.append(Int(bytes[0]) << 8 | Int(bytes[1]))
        }
      }
    }
    for number in 0..<1000 { try pair.second.send([UInt8(number >> 8), UInt8(number & 255)]) }
    // One empty datagram for each task, as its signal to stop.
    for _ in 0..<3 { try pair.second.send([]) }
    let all = try receivers.flatMap { try $0.join() }
    #expect(all.sorted() == Array(0..<1000))
    ours.close()
    pair.second.close()
  }
}
