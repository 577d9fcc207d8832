import FinBase
import Glibc
import Peers
import Synchronization
import TestTraits
import Testing

@testable import Fin

/// A reactor of one loop whose reports of held loops the test keeps.
private struct WatchedReactor {
  let reactor: Reactor
  let reports = Collected<HeldLoop>()

  init() throws {
    var beginnings = EventLoop.Beginnings()
    beginnings.reportHold = { [reports] in reports.add($0) }
    reactor = try Reactor(count: 1, beginnings: beginnings)
  }
}

/// Values that several threads add.
private final class Collected<Value: Sendable>: Sendable {
  private let values = Mutex<[Value]>([])
  func add(_ value: Value) { values.withLock { $0.append(value) } }
  var all: [Value] { values.withLock { $0 } }
}

/// Keeps the thread for a little longer than a loop may be held.
private func hold(asleep: Bool) {
  let end = Fin.Deadline(after: HoldWatch.bound + .milliseconds(20))
  if asleep { SystemClock.pause(HoldWatch.bound + .milliseconds(20)) }
  let start = threadTime()
  while !end.hasPassed || !asleep && threadTime() - start < HoldWatch.bound {}
}

private actor Sleeper {
  func sleep() { hold(asleep: true) }
}

@Suite("A debug build says which job held an event loop")
struct HeldLoops {
  @Test(
    "a job that sleeps or computes for too long is reported, with the line of its socket", .onThreads,
    arguments: [true, false])
  func own(asleep: Bool) throws {
    let watched = try WatchedReactor()
    try errand(on: watched.reactor.executor) {
      let pair = try Connection.pair(file: "Mine/Server.swift", line: 77)
      try await pair.first.send("x")
      hold(asleep: asleep)
      pair.first.abort()
      pair.second.abort()
      // The report follows the job, which ends here.
      await Task(executorPreference: watched.reactor.executor) {}.value
    }.join()
    let report = try #require(watched.reports.all.first)
    #expect(report.site?.file == "Mine/Server.swift" && report.site?.line == 77 && report.isOwn)
    #expect(report.time >= HoldWatch.bound)
    #expect(report.text.contains("it used a socket opened at Mine/Server.swift:77"), "\(report.text)")
    watched.reactor.stop()
  }

  @Test("an actor's job that uses no socket is reported with the socket used there before", .onThreads)
  func before() throws {
    let watched = try WatchedReactor()
    try errand(on: watched.reactor.executor) {
      await Sleeper().sleep()
    }.join()
    try eventually("a report") { !watched.reports.all.isEmpty }
    #expect(watched.reports.all.first?.text.contains("no socket had been used there before") == true)
    let seen = watched.reports.all.count
    try errand(on: watched.reactor.executor) {
      let pair = try Connection.pair(file: "Mine/Client.swift", line: 5)
      try await pair.first.send("x")
      pair.first.abort()
      pair.second.abort()
    }.join()
    try errand(on: watched.reactor.executor) { await Sleeper().sleep() }.join()
    try eventually("a second report") { watched.reports.all.count > seen }
    let report = try #require(watched.reports.all.last)
    #expect(report.site?.line == 5 && !report.isOwn)
    #expect(report.text.contains("the last socket used there before was opened at Mine/Client.swift:5"))
    watched.reactor.stop()
  }

  @Test("a thread that only waited for a processor was not held", .onThreads)
  func descheduled() throws {
    let kept = Collected<HeldLoop>()
    let watch = HoldWatch { kept.add($0) }
    let past = Instant(nanoseconds: Instant.now.nanoseconds - 1_000_000_000)
    watch.end((moment: past, use: .now))
    #expect(kept.all.isEmpty)
    let now = ThreadUse.now
    watch.end((moment: past, use: ThreadUse(processor: now.processor, sleeps: now.sleeps - 1)))
    #expect(kept.all.count == 1)
    watch.end((moment: past, use: ThreadUse(processor: now.processor - HoldWatch.bound, sleeps: now.sleeps)))
    #expect(kept.all.count == 2)
    watch.end((moment: .now, use: ThreadUse(processor: .zero, sleeps: 0)))
    #expect(kept.all.count == 2)
  }

  @Test("standard error gets one line for each place", .onThreads)
  func once() async throws {
    let result = try await #require(processExitsWith: .success, observing: [\.standardErrorContent]) {
      let reactor = try Reactor(loops: 1)
      for line: UInt in [31, 31, 32] {
        await withTaskExecutorPreference(reactor.executor) {
          await Task(executorPreference: reactor.executor) {
            guard let pair = try? Connection.pair(file: "Mine/Server.swift", line: line) else { return }
            try? await pair.first.send("x")
            hold(asleep: true)
            pair.first.abort()
            pair.second.abort()
          }.value
        }
      }
      // The report follows the job; one job more, and it is written.
      await Task(executorPreference: reactor.executor) {}.value
      await Task(executorPreference: reactor.executor) {}.value
    }
    let lines = String(decoding: result.standardErrorContent, as: UTF8.self).split(separator: "\n")
      .filter { $0.contains("Mine/Server.swift") }
    #expect(lines.count == 2, "\(lines)")
    #expect(lines.first?.contains("Server.swift:31") == true && lines.last?.contains("Server.swift:32") == true)
  }
}
