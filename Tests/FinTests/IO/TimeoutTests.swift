import Glibc
import Peers
import SystemPackage
import TestTraits
import Testing

@testable import Fin

@Suite("Promise 5: nothing waits forever: per call, unlimited only when asked, never overflowing", .onThreads)
struct Times {
  @Test("Timeouts.all(…) sets all four timeouts, and a call's own timeout takes precedence")
  func all() throws {
    let times = Timeouts.all(.milliseconds(30))
    #expect(times.connect == .milliseconds(30) && times.send == .milliseconds(30))
    #expect(times.receive == .milliseconds(30) && times.accept == .milliseconds(30))
    #expect(Timeouts.all(.never).receive == .never && Timeouts.all(.never).accept == .never)

    var listener = try Listener.bind(.loopback(port: 0), timeouts: times)
    #expect(try refusal { () throws(SocketError) in try listener.accept() }.cause == .timedOut)
    let client = try Connection.connect(to: listener.localAddress)
    var server = try listener.accept()
    // An accepted connection has the listener's timeouts.
    #expect(server.timeouts == times)
    #expect(try refusal { () throws(SocketError) in try server.receive(upTo: 1) }.cause == .timedOut)
    #expect(try refusal { () throws(SocketError) in try server.receiveLine() }.cause == .timedOut)
    #expect(try refusal { () throws(SocketError) in try server.peek(upTo: 1) }.cause == .timedOut)
    server.timeouts.receive = .seconds(60)
    let time = try elapsed {
      let error = try refusal { () throws(SocketError) in try server.receive(exactly: 1, within: .milliseconds(10)) }
      #expect(error.cause == .timedOut)
    }
    #expect(time >= .milliseconds(10) && time < .seconds(20))
    listener.timeouts.accept = .milliseconds(1)
    #expect(try refusal { () throws(SocketError) in try listener.accept() }.cause == .timedOut)
    client.abort()
    server.abort()
    listener.close()
  }

  @Test("a wait lasts its whole timeout, not less", .faults(61), arguments: [1, 20, 150])
  func notLess(milliseconds: Int) throws {
    let pair = try Connection.pair()
    let time = try elapsed {
      _ = try refusal { () throws(SocketError) in
        try pair.first.receive(upTo: 1, within: .milliseconds(milliseconds))
      }
    }
    #expect(time >= .milliseconds(milliseconds))
    #expect(time < .seconds(10))
    pair.first.abort()
    pair.second.abort()
  }

  @Test("a timeout of .never is unlimited: only the peer or a close ends the wait")
  func forEver() throws {
    let listener = try Listener.bind(.loopback(port: 0), timeouts: .all(.never))
    let handle = listener.handle
    let address = listener.localAddress
    let pair = try Connection.pair(timeouts: .all(.never))
    let shared = pair.first.share()
    let accepting = onThread(taking: listener) { listener in
      let error = try refusal { () throws(SocketError) in try listener.accept() }
      listener.close()
      return error
    }
    let receiving = onThread { try shared.receive(upTo: 10) }
    try steadily(for: .milliseconds(100), "the end of an unlimited wait", equals: false) {
      accepting.isFinished || receiving.isFinished
    }
    try pair.second.send([1, 2])
    #expect(try receiving.join() == [1, 2])
    let again = onThread { try refusal { () throws(SocketError) in try shared.receive(upTo: 10) } }
    try steadily(for: .milliseconds(50), "the end of an unlimited wait", equals: false) { again.isFinished }
    shared.abort()
    #expect(try again.join().cause == .closed)
    handle.stop()
    #expect(try accepting.join().cause == .closed)
    #expect(address.port != 0)
    pair.second.abort()
  }

  @Test("one call with .never outlasts the socket's own timeout, in a thread and in a task", arguments: [false, true])
  func oneUnlimitedCall(isInTask: Bool) throws {
    let pair = try Connection.pair(timeouts: .all(.milliseconds(20)))
    let shared = pair.first.share()
    let receiving = onThread {
      isInTask
        ? try Working(on: Reactor.shared.executor) { try await shared.receive(upTo: 10, within: .never) }
          .join(within: .seconds(60))
        : try shared.receive(upTo: 10, within: .never)
    }
    try steadily(for: .milliseconds(150), "the end of an unlimited call", equals: false) { receiving.isFinished }
    try pair.second.send([1, 2])
    #expect(try receiving.join() == [1, 2])
    // The next call has the socket's timeout again.
    #expect(try refusal { () throws(SocketError) in try shared.receive(upTo: 10) }.cause == .timedOut)
    shared.abort()
    pair.second.abort()
  }

  @Test(
    "a timeout of zero or less is one attempt: available data is returned, else it times out", .faults(61),
    arguments: [0, -1, -1_000_000])
  func zero(seconds: Int) throws {
    let now = Duration.seconds(seconds)
    let listener = try Listener.bind(.loopback(port: 0))
    #expect(try refusal { () throws(SocketError) in try listener.accept(within: Timeout(now)) }.cause == .timedOut)
    let client = try Connection.connect(to: listener.localAddress)
    let server = try listener.accept(within: Timeout(now))
    #expect(
      try refusal { () throws(SocketError) in try server.receive(upTo: 1, within: Timeout(now)) }.cause == .timedOut)
    #expect(try refusal { () throws(SocketError) in try server.receiveLine(within: Timeout(now)) }.cause == .timedOut)
    try client.send("a\nb", within: Timeout(now))
    try eventually("the bytes") { try server.tcpInfo()?.bytesReceived == 3 }
    #expect(try server.receiveLine(within: Timeout(now)) == "a")
    #expect(try server.peek(upTo: 9, within: Timeout(now)) == Array("b".utf8))
    #expect(try server.receive(exactly: 1, within: Timeout(now)) == Array("b".utf8))
    let big = pattern(32 << 20)
    let error = try refusal { () throws(SocketError) in try client.send(big, within: Timeout(now)) }
    #expect(error.cause == .timedOut && error.bytesAccepted > 0)
    client.abort()
    server.abort()
    listener.close()
  }

  @Test("a connect over loopback succeeds with a timeout of zero")
  func zeroConnect() throws {
    let listener = try Listener.bind(.loopback(port: 0))
    let connection = try Connection.connect(to: listener.localAddress, within: .zero)
    #expect(try connection.tcpState() == .established)
    connection.abort()
    listener.close()
  }

  @Test(
    "a line that arrives byte by byte has one deadline, and not one for each byte", .faults(61),
    arguments: ["line", "until", "exactly"])
  func trickle(verb: String) throws {
    let pair = try Connection.pair()
    let peer = pair.second.share()
    // Before every wait of the receiver one byte arrives: every wait ends at once, and no byte ends the line.
    let script = Script(.every(.poll, .before { try? peer.send([0x61]) }))
    let first = pair.first.share()
    let receiving = onThread {
      try scripted(script) {
        try refusal { () throws(SocketError) in
          let time = Duration.milliseconds(150)
          switch verb {
          case "line": _ = try first.receiveLine(limit: .max, within: Timeout(time))
          case "until": _ = try first.receive(until: [0x0A], limit: .max, within: Timeout(time))
          default: _ = try first.receive(exactly: .max, within: Timeout(time))
          }
        }
      }
    }
    let error: SocketError
    do { error = try receiving.join(within: .seconds(10)) } catch {
      first.abort()
      throw error
    }
    #expect(error.cause == .timedOut)
    #expect(script.count(.poll) > 1)
    first.abort()
    peer.abort()
  }

  @Test(
    "durations too long to count are unlimited, and do not overflow", .faults(61),
    arguments: [
      Duration.seconds(Int64.max), Duration(secondsComponent: .max, attosecondsComponent: 999_999_999_999_999_999),
      .seconds(9_223_372_036), .nanoseconds(Int64.max),
    ])
  func huge(time: Duration) throws {
    let pair = try Connection.pair()
    let receiving = onThread(taking: pair.first) { first in
      let bytes = try first.receive(exactly: 3, within: Timeout(time))
      try first.send([9], within: Timeout(time))
      _ = first.close(.confirmed(within: time))
      return bytes
    }
    try pair.second.send([1, 2])
    try steadily(for: .milliseconds(20), "the end of the wait", equals: false) { receiving.isFinished }
    try pair.second.send([3])
    #expect(try pair.second.receive(exactly: 1) == [9])
    #expect(try pair.second.receive(upTo: 1) == nil)
    pair.second.close(.lingering(within: time, idle: time, discarding: .max))
    #expect(try receiving.join() == [1, 2, 3])
  }

  @Test("deadline arithmetic is right at both ends of the clock")
  func arithmetic() {
    #expect(Fin.Deadline.adding(.seconds(1), to: 5) == 1_000_000_005)
    #expect(Fin.Deadline.adding(.nanoseconds(-1), to: 5) == 4)
    #expect(Fin.Deadline.adding(.seconds(Int64.max), to: 5) == .max)
    #expect(Fin.Deadline.adding(.seconds(Int64.min), to: 5) == .min)
    #expect(Fin.Deadline.adding(.nanoseconds(Int64.max), to: 5) == .max)
    #expect(Fin.Deadline.adding(.nanoseconds(Int64.min), to: -5) == .min)
    #expect(Fin.Deadline.adding(Duration(secondsComponent: .max, attosecondsComponent: .max), to: .max) == .max)
    #expect(!Fin.Deadline.never.hasPassed)
    #expect(Fin.Deadline.never.remaining == nil)
    #expect(Fin.Deadline(after: .seconds(-5)).hasPassed)
    #expect(Fin.Deadline(after: .seconds(-5)).remaining == .zero)
  }

  @Test(
    "setting the machine's clock moves no deadline: one source file reads a clock, the monotonic one",
    .faults(61))
  func monotonic() throws {
    let root = #filePath.split(separator: "/").dropLast(4).joined(separator: "/")
    var readers: [String] = []
    for file in try swiftFiles("/" + root + "/Sources/Fin") + swiftFiles("/" + root + "/Sources/FinBase") {
      let text = try contents(file)
      // The doctor's part of the clocks has the time of day, for its reports.
      let isBase = file.contains("/FinBase/")
      if !isBase { #expect(!text.contains("SystemClock.wall"), "\(file) reads the time of day") }
      for word in [
        "CLOCK_REALTIME", "gettimeofday", "ContinuousClock", "SuspendingClock", "Foundation.Date", "time(nil)",
      ] where !(isBase && word == "CLOCK_REALTIME") {
        #expect(!text.contains(word), "\(file) has \(word)")
      }
      if text.contains("clock_gettime(") { readers.append(String(file.split(separator: "/").last!)) }
    }
    #expect(readers == ["SystemClock.swift"])
  }

  private func swiftFiles(_ folder: String) throws -> [String] {
    guard let directory = unsafe opendir(folder) else { throw RigError("opendir \(folder)") }
    defer { unsafe closedir(directory) }
    var files: [String] = []
    while let entry = unsafe readdir(directory) {
      let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
        unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      if name.hasPrefix(".") { continue }
      if name.hasSuffix(".swift") { files.append("\(folder)/\(name)") }
      if unsafe entry.pointee.d_type == UInt8(DT_DIR) { files += try swiftFiles("\(folder)/\(name)") }
    }
    return files.sorted()
  }

  private func contents(_ path: String) throws -> String {
    guard let file = unsafe fopen(path, "r") else { throw RigError("fopen \(path)") }
    defer { unsafe fclose(file) }
    var bytes = [UInt8](repeating: 0, count: 1 << 20)
    let count = unsafe fread(&bytes, 1, bytes.count, file)
    return String(decoding: bytes.prefix(count), as: UTF8.self)
  }
}
