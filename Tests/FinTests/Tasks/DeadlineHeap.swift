import Synchronization
import TestTraits
import Testing

@testable import Fin

@Suite("A loop's deadlines and jobs, compared with a naive model", .onThreads)
struct DeadlineHeap {
  @Test(
    "three thousand random steps: the heap returns the same deadlines, in order, one entry per slot", arguments: 1...12)
  func model(seed: Int) {
    var dice = Dice(seed: UInt64(seed))
    var deadlines = TimerHeap()
    var naive: [UInt32: Int64] = [:]
    var now: Int64 = 0
    // Few slots and few times, so that collisions and ties occur.
    let slots = UInt32([1, 2, 7, 64, 500][seed % 5])
    for _ in 0..<3000 {
      switch Int.random(in: 0..<10, using: &dice) {
      case 0...5:
        let slot = UInt32.random(in: 0..<slots, using: &dice)
        let due = now + Int64.random(in: -20...300, using: &dice)
        deadlines.set(slot, Deadline(nanoseconds: due))
        naive[slot] = min(naive[slot] ?? .max, due)
      case 6:
        deadlines.set(UInt32.random(in: 0..<slots, using: &dice), .never)
      case 7:
        now += Int64.random(in: 0...40, using: &dice)
      default:
        let taken = deadlines.takeDue(at: now)
        let first = naive.values.min()
        if let first, first <= now {
          // Any of several slots with the same deadline may be returned.
          guard let taken, naive.removeValue(forKey: taken) == first else {
            Issue.record("at \(now) came \(String(describing: taken)), and \(first) was due")
            return
          }
        } else {
          #expect(taken == nil)
        }
      }
      #expect(deadlines.earliest.nanoseconds == naive.values.min() ?? .max)
    }
    var last = Int64.min
    while let slot = deadlines.takeDue(at: .max) {
      let due = naive.removeValue(forKey: slot)
      #expect(due != nil && due! >= last)
      last = due ?? last
    }
    #expect(naive.isEmpty && deadlines.earliest == .never)
  }

  @Test("a later deadline changes nothing, an earlier one does, and a removed slot has none")
  func lazy() {
    var deadlines = TimerHeap()
    deadlines.set(3, Deadline(nanoseconds: 60))
    deadlines.set(3, Deadline(nanoseconds: 90))
    #expect(deadlines.earliest.nanoseconds == 60)
    deadlines.set(3, Deadline(nanoseconds: 50))
    #expect(deadlines.earliest.nanoseconds == 50)
    #expect(deadlines.takeDue(at: 49) == nil)
    #expect(deadlines.takeDue(at: 50) == 3)
    #expect(deadlines.takeDue(at: 1000) == nil && deadlines.earliest == .never)
    deadlines.set(3, .passed)
    #expect(deadlines.takeDue(at: .min) == 3)
  }

  /// An executor that only stores its jobs.
  private final class Collector: TaskExecutor, Sendable {
    private let jobs = Mutex<[UnownedJob]>([])
    func enqueue(_ job: consuming ExecutorJob) {
      let job = UnownedJob(job)
      jobs.withLock { $0.append(job) }
    }
    func take() -> [UnownedJob] {
      jobs.withLock { jobs in
        defer { jobs = [] }
        return jobs
      }
    }
  }

  @Test("jobs leave the ring in the order in which they entered, however it has wrapped and grown", arguments: 1...6)
  func jobs(seed: Int) {
    let collector = Collector()
    let ran = Tally()
    let count = 700
    for _ in 0..<count { _ = Task(executorPreference: collector) { ran.add() } }
    var fresh = collector.take()[...]
    #expect(fresh.count == count)
    var dice = Dice(seed: UInt64(seed))
    var queue = JobQueue()
    var naive: [UnownedJob] = []
    var done = 0
    while done < count {
      for _ in 0..<Int.random(in: 0...[3, 40, 200][seed % 3], using: &dice) {
        guard let job = fresh.popFirst() else { break }
        queue.append(job)
        naive.append(job)
      }
      for _ in 0..<Int.random(in: 0...30, using: &dice) {
        #expect(queue.isEmpty == naive.isEmpty)
        guard let job = queue.popFirst() else {
          #expect(naive.isEmpty)
          break
        }
        let expected = naive.removeFirst()
        #expect("\(job)" == "\(expected)")
        unsafe job.runSynchronously(on: collector.asUnownedTaskExecutor())
        done += 1
        #expect(ran.value == done)
      }
    }
    #expect(queue.popFirst() == nil && queue.isEmpty)
  }
}
