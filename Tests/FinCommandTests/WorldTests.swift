import Fin
import Glibc
import TestTraits
import Testing

@testable import FinLab

@Suite("The support code of fin lab, in threads and in tasks", .onThreads, .timeLimit(.minutes(30)))
struct WorldTests {
  @Test("an awaited operation resumes on the thread of the experiment")
  func comesBack() throws {
    let threads = WorkerThread {
      try? ThisThread.run {
        let before = Kernel.target(of: "/proc/thread-self")
        let listener = try Pair.listener()
        let connection = try await World.tasks.connect(to: .loopback(port: RawSyscalls.port(of: listener)))
        // It has to wait, because no data was sent.
        let told = await Outcome(try await connection.receive(upTo: 1, within: .milliseconds(50))).told
        await connection.close(.abort)
        RawSyscalls.close(listener)
        return [before, Kernel.target(of: "/proc/thread-self"), told]
      }
    }
    let found = try #require(try threads.answer(orMishap: "the rig", within: .seconds(120)))
    #expect(found[0] != nil && found[0] == found[1])
    #expect(found[2] == ".timedOut")
  }

  @Test("an error in the body is thrown to the caller")
  func throwing() throws {
    let thread = WorkerThread {
      do {
        try ThisThread.run { throw SetupError("no") }
        return "nothing"
      } catch { return "\(error)" }
    }
    #expect(try thread.answer(orMishap: "the rig", within: .seconds(120)) == "no")
  }

  @Test("a worker is seen as waiting while it waits, and not when it is done", arguments: [World.threads, .tasks])
  func waiting(world: World) throws {
    let seen = WorkerThread {
      do {
        return try ThisThread.run {
          let listener = try Pair.listener()
          let shared = try await world.connect(to: .loopback(port: RawSyscalls.port(of: listener))).share()
          let plain = Int32(RawSyscalls.accept(listener).value)
          let worker = try world.start { () async -> String in await Outcome(try await shared.receive(upTo: 64)).told }
          // Other tests have tasks on the reactor too, so its loops may never all sleep at once.
          let waited = world == .threads ? worker.waits(within: .seconds(120)) : true
          _ = RawSyscalls.send(plain, "news")
          let told = try worker.answer(orMishap: "the worker", within: .seconds(120))
          let waits = worker.waits(within: .milliseconds(1))
          await shared.close(.abort)
          RawSyscalls.close(plain)
          RawSyscalls.close(listener)
          return ["\(waited)", told, "\(waits)"]
        }
      } catch { return ["\(error)"] }
    }
    #expect(try seen.answer(orMishap: "the rig", within: .seconds(60)) == ["true", "\"news\"", "false"])
  }
}
