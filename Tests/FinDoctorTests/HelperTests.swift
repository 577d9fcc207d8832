import CFin
import CPeers
import FinBase
import Glibc
import Peers
import TestTraits
import Testing

@testable import FinDoctor

@Suite("Readings that may wait are made by helpers, within limits", .onThreads)
struct HelperTests {
  @Test(
    "a request arrives as it was sent",
    arguments: [
      HelperRequest.read(path: "/proc/1/fdinfo/3", limit: 77), .read(path: "/proc/1/mem", offset: 5, limit: 1 << 20),
      .attribute(name: "a", path: ""), .memoryFile(path: "/x"),
      .options(
        pid: 7, descriptor: -1, inode: .max,
        [HelperRequest.Option(level: 1, name: 2, length: 3), HelperRequest.Option(level: -1, name: 0, length: 280)]),
      .netlink([1, 2, 3]), .openFiles(program: [1, .max], function: 9),
    ])
  func requests(request: HelperRequest) {
    let bytes = request.bytes
    #expect(HelperRequest(bytes[...]) == request)
    // No part of it is taken for another request.
    for end in 0..<bytes.count { #expect(HelperRequest(bytes[..<end]) == nil, "cut at \(end)") }
  }

  @Test("a limit that is no length makes no request")
  func limits() {
    var bytes = HelperRequest.read(path: "/x", limit: 77).bytes
    for place in 9..<17 { bytes[place] = 0xff }
    #expect(HelperRequest(bytes[...]) == nil)
  }

  @Test("a process that did not answer is left out for a minute, with others of its user; then all are asked again")
  func silences() {
    let minute: UInt64 = 60_000_000_000
    var silences = Silences<Int32>()
    func leavesOut(_ pid: Int32, of user: UInt32?, at now: UInt64) -> Bool {
      silences.leavesOut(pid, of: user, at: now)
    }
    #expect(!leavesOut(1, of: 0, at: 5))
    silences.insert(1, of: 0, at: 5)
    #expect(leavesOut(1, of: 0, at: 6) && !leavesOut(2, of: 0, at: 6))
    silences.insert(2, of: 0, at: 6)
    // Two of one user: the third is not asked, and those of other users are.
    #expect(leavesOut(3, of: 0, at: 7) && !leavesOut(4, of: 9, at: 7) && !leavesOut(5, of: nil, at: 7))
    silences.insert(4, of: 9, at: 7)
    silences.insert(5, of: nil, at: 7)
    #expect(leavesOut(6, of: 8, at: 8))
    // The silent ones have ended, so that nothing asks for them again; the others are asked all the same.
    #expect(!leavesOut(6, of: 8, at: 5 + minute) && leavesOut(2, of: 0, at: 5 + minute))
    #expect(!leavesOut(3, of: 0, at: 6 + minute))
    let (first, last) = (silences.contains(1), silences.contains(4))
    #expect(!first && last)
  }

  @Test("readings are answered in order; one beyond its limit is cut, and one that fails says why")
  func readings() throws {
    let pid = getpid()
    var answers: [HelperAnswer] = []
    let requests = (0..<40).map { HelperRequest.read(path: "/proc/\(pid)/stat", limit: $0 + 1) }
    let missing = HelperRequest.read(path: "/proc/\(pid)/nothing", limit: 10)
    let status = HelperRequest.read(path: "/proc/\(pid)/status", limit: 1 << 20)
    let all = (requests + [missing, status]).map { Helpers.Reading(pid: pid, request: $0) }
    Helpers.perform(all) { place, answer in
      #expect(place == answers.count)
      answers.append(answer)
    }
    #expect(answers.count == 42)
    for (place, answer) in answers.prefix(40).enumerated() {
      #expect(answer.bytes.count == place + 1 && answer.isCut && answer.failure == nil)
    }
    #expect(answers[40].failure?.isGone == true && !answers[40].isSilent)
    #expect(answers[41].bytes.starts(with: "Name:".utf8) && !answers[41].isCut)
  }

  @Test("a file in memory is opened for the census; a pipe of the same process is not")
  func memoryFiles() throws {
    let file = Descriptor(owning: unsafe fin_memory_file("fin-ledger"))
    let answer = Helpers.perform(.memoryFile(path: "/proc/self/fd/\(file.number)"), of: getpid())
    let copy = Descriptor(owning: answer.descriptor)
    #expect(try copy.status().st_ino == file.status().st_ino)
    var ends: [CInt] = [0, 0]
    unsafe #expect(pipe(&ends) == 0)
    defer { for end in ends { close(end) } }
    let other = Helpers.perform(.memoryFile(path: "/proc/self/fd/\(ends[0])"), of: getpid())
    #expect(other.descriptor == -1 && other.failure == nil)
  }

  @Test("without a free descriptor, a reading fails with that error, and no ledger is called another file")
  func withoutDescriptors() async {
    await #expect(processExitsWith: .success) {
      try DescriptorTable.apart { table in
        var ends: [CInt] = [0, 0]
        unsafe precondition(fin_packet_pair(&ends) == 0)
        let mark: UInt8 = 7
        unsafe precondition(fin_send_packet(ends[0], [mark], 1, nil, 0, ends[1], 0) == 1)
        var (received, descriptor): (UInt8, CInt) = (0, -1)
        _ = try table.leaving(0) { unsafe fin_receive_packet(ends[1], &received, 1, &descriptor, 0) }
        precondition(received == mark && descriptor == HelperWork.Mark.droppedDescriptor, "\(descriptor)")

        let file = unsafe fin_memory_file("fin-ledger")
        var outcomes: Set<String> = []
        for count in 0..<12 {
          for _ in 0..<20 {
            let reading = try table.leaving(count) {
              var reading = LedgerReading(getpid())
              reading.read(file)
              return reading
            }
            precondition(!reading.isSilent, "with \(count): silent")
            outcomes.formUnion(reading.complaints)
          }
        }
        // The file is empty, so that a ledger that is opened is no complaint.
        let wanted = "the ledger of process \(getpid()) could not be read: "
        precondition(outcomes.count == 1 && outcomes.first?.hasPrefix(wanted) == true, "\(outcomes)")
      }
    }
  }

  @Test("an answer of the kernel that was cut, or broken off, is counted and not used")
  func cutAnswers() throws {
    func answers(_ datagrams: [[UInt8]], room: Int = 1 << 16) throws -> (
      rows: [UInt32], damage: NetlinkSocket.Damage, outcome: NetlinkSocket.Outcome
    ) {
      // A pair of datagram sockets in place of the kernel: it cuts a datagram that is longer than the buffer.
      var ends: [CInt] = [0, 0]
      let made = unsafe socketpair(AF_UNIX, CInt(SOCK_DGRAM.rawValue), 0, &ends)
      try #require(made == 0)
      defer { for end in ends { close(end) } }
      var rows: [UInt32] = []
      var damage = NetlinkSocket.Damage()
      var outcome = NetlinkSocket.Outcome.more
      var buffer = [UInt8](repeating: 0, count: room)
      for datagram in datagrams {
        let sent = unsafe send(ends[0], datagram, datagram.count, 0)
        try #require(sent == datagram.count)
        var (sender, cut): (UInt32, CInt) = (0, 0)
        let count = unsafe fin_netlink_receive(ends[1], &buffer, UInt64(room), &sender, &cut)
        try #require(count > 0)
        if cut != 0 {
          damage.answers += 1
          continue
        }
        outcome = unsafe NetlinkSocket.walk(Array(buffer[..<Int(count)]).span.bytes, sequence: 1, &damage) { payload in
          guard let row = InetDiag.row(payload, transport: .tcp, namespace: 0) else { return false }
          rows.append(row.inode)
          return true
        }
      }
      return (rows, damage, outcome)
    }
    let row = { Answer.message(Answer.inet(cookie: $0, inode: $0)) }
    let whole = try answers([row(1) + row(2), row(3) + Answer.done])
    #expect(whole.rows == [1, 2, 3] && whole.damage == NetlinkSocket.Damage() && whole.outcome == .done)
    let cut = try answers([row(1) + row(2), row(3) + Answer.done], room: 150)
    #expect(cut.rows == [3] && cut.damage.answers == 1 && cut.outcome == .done)
    let broken = try answers([row(1) + Array(row(2).dropLast(20))])
    #expect(broken.rows == [1] && broken.damage.answers == 1 && broken.outcome == .more)
    let interrupted = try answers([Answer.message(flags: 0x10, Answer.inet(cookie: 4, inode: 4)) + Answer.done])
    #expect(interrupted.rows == [4] && interrupted.damage.isInterrupted)
    // NLMSG_ERROR behind rows, with EINTR (-4); the rows before it are kept.
    let refused = try answers([row(5), Answer.message(type: 2, Answer.numbers([UInt32(bitPattern: -4)]))])
    #expect(refused.rows == [5] && refused.outcome == .refused(KernelError(code: 4)))
    // A helper knows the end of an answer, also behind rows, and never takes a part of a message for it.
    for (bytes, isLast) in [
      (row(1) + Answer.done, true), (row(1), false), (Answer.message(type: 2, Answer.numbers([0])), true),
      (Answer.message(type: 3, sequence: 2, [0, 0, 0, 0]), false), (Array(Answer.done.dropLast(8)), false),
      (Answer.message(length: 3, [0, 0, 0, 0]), false), ([], false),
    ] {
      #expect(unsafe HelperWork.ends(bytes.span.bytes, 1) == isLast, "\(bytes)")
    }
  }

  @Test("what a stranger sends to the socket of a dump is refused by the kernel")
  func strangers() throws {
    let number = fin_netlink(CInt(FIN_NETLINK_SOCK_DIAG), 5)
    let socket = Descriptor(owning: number)
    var address = [UInt32](repeating: 0, count: 3)
    var length = socklen_t(12)
    let code = unsafe address.withUnsafeMutableBytes {
      unsafe getsockname(socket.number, $0.baseAddress!.assumingMemoryBound(to: sockaddr.self), &length)
    }
    try #require(code == 0 && address[1] != 0)
    let message = [UInt8](repeating: 0, count: 64)
    let sent = unsafe peers_netlink_send(CInt(FIN_NETLINK_SOCK_DIAG), address[1], message, 64)
    #expect(sent == -1 && errno == ECONNREFUSED)
    // Another socket, not connected, takes it: the message itself is sound.
    let open = Descriptor(owning: Glibc.socket(AF_NETLINK, CInt(SOCK_RAW.rawValue), CInt(FIN_NETLINK_SOCK_DIAG)))
    address = [UInt32(AF_NETLINK), 0, 0]
    let bound = unsafe address.withUnsafeBytes {
      unsafe bind(open.number, $0.baseAddress!.assumingMemoryBound(to: sockaddr.self), 12)
    }
    length = 12
    let named = unsafe address.withUnsafeMutableBytes {
      unsafe getsockname(open.number, $0.baseAddress!.assumingMemoryBound(to: sockaddr.self), &length)
    }
    #expect(bound == 0 && named == 0)
    #expect(unsafe peers_netlink_send(CInt(FIN_NETLINK_SOCK_DIAG), address[1], message, 64) == 64)
  }

  @Test("connections closed with unread data are counted by port, in bounded memory")
  func closedUnread() {
    var socket = InetSocket()
    (socket.transport, socket.receiveQueue) = (.tcp, 5)
    var closed = ClosedUnread()
    for number in 0..<200_000 {
      socket.localPort = UInt16(number % 2)
      closed.add(socket)
    }
    #expect(closed.ports.count == 2 && closed.ports.values.allSatisfy { $0.count == 100_000 && $0.bytes == 500_000 })
    for number in 0..<(Budget.closedPorts + 10) {
      socket.localPort = UInt16(number + 2)
      closed.add(socket)
    }
    #expect(closed.ports.count == Budget.closedPorts && closed.uncounted == 12)
    var gaps = CensusGaps()
    gaps.uncountedEnds = closed.uncounted
    #expect(gaps.sentences.count == 1 && gaps.sentences[0].contains("12 connections"))
    socket.receiveQueue = 1
    closed.add(socket)
    #expect(closed.uncounted == 12)
  }

  @Test(
    "sockets of kinds that no table lists are counted by the names of their protocols",
    .enabled(if: Privileges.canMakeNamespaces, "needs a network namespace"))
  func otherKinds() throws {
    let namespace = try NetworkNamespace()
    let sockets = namespace.run {
      [socket(AF_INET, CInt(SOCK_RAW.rawValue), 255), socket(AF_PACKET, CInt(SOCK_RAW.rawValue), 0)]
    }
    defer { for number in sockets { close(number) } }
    #expect(sockets.allSatisfy { $0 >= 0 })
    // While other tests make namespaces, a census may not have read each of those that this process holds.
    try eventually(within: .seconds(60), "both sockets by the names of their protocols") {
      let all = try Census.take().otherSockets
      return zip(sockets, ["RAW", "PACKET"]).allSatisfy { number, kind in
        all.contains { $0.kind == kind && $0.holder.pid == getpid() && $0.holder.descriptor == number }
      }
    }
  }

  @Test("processes that did not answer are named with what is missing, and more than sixteen are counted")
  func sentences() {
    var gaps = CensusGaps()
    gaps.unanswered = [812: [.commandLine], 9: [.epollSets, .commandLine, .threads]]
    gaps.socketsWithoutDetails = 2
    #expect(
      gaps.sentences == [
        "2 sockets are listed without times and sizes: a program keeps a socket locked",
        "process 9 did not answer: its command line, what its epoll sets watch and what its threads wait for "
          + "are unknown",
        "process 812 did not answer: its command line is unknown",
      ])
    gaps.unasked = [9]
    #expect(gaps.sentences[1].hasPrefix("process 9 was not asked, because others did not answer: its command line,"))
    for pid in 1000..<1020 { gaps.unanswered[Int32(pid)] = [.ledger] }
    #expect(gaps.sentences.count == 1 + 16 + 1 && gaps.sentences.last == "6 more processes did not answer")
  }
}
